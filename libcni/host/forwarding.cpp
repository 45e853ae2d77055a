// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "host/forwarding.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/link.h"
#include "netlink/route.h"

namespace cni {
namespace {

constexpr const char* kForwardV4 = "net/ipv4/ip_forward";
constexpr const char* kForwardV6 = "net/ipv6/conf/all/forwarding";

std::vector<const char*> forwarding_entries(const std::vector<IpNet>& addresses) {
  std::vector<const char*> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const bool wanted = std::ranges::any_of(
        addresses, [&](const IpNet& address) { return address.family() == family; });
    if (wanted) out.push_back(family == Family::kV4 ? kForwardV4 : kForwardV6);
  }
  return out;
}

/// A host that forwards accepts no router advertisements, unless told to, and drops the routes that
/// it has from them at once: links that it has such routes by are told.
void keep_advertised_routes(Host& host) {
  for (const int ifindex : netlink::list_links_with_advertised_routes(host.route())) {
    const auto link = netlink::find_link(host.route(), ifindex);
    if (!link) continue;
    const std::string entry = sysctl::link_entry("ipv6", link->name, "accept_ra");
    if (sysctl::read(entry) != "1") continue;
    log::warn(concat("setting ", entry, " to 2: IPv6 forwarding would take away its routes"));
    sysctl::write(entry, "2");
  }
}

}  // namespace

void enable_forwarding(Host& host, const std::vector<IpNet>& addresses) {
  for (const char* entry : forwarding_entries(addresses)) {
    if (entry == kForwardV6 && sysctl::read(entry) == "0") keep_advertised_routes(host);
    sysctl::write(entry, "1");
  }
}

void check_forwarding(const std::vector<IpNet>& addresses) {
  for (const char* entry : forwarding_entries(addresses)) {
    if (sysctl::read(entry).value_or("1") == "1") continue;
    throw Error(ErrorCode::kMismatch, concat("sysctl ", entry, " is not 1"));
  }
}

}  // namespace cni
