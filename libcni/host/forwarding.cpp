// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "host/forwarding.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "host/sysctl.h"

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

}  // namespace

void enable_forwarding(const std::vector<IpNet>& addresses) {
  for (const char* entry : forwarding_entries(addresses)) sysctl::write(entry, "1");
}

void check_forwarding(const std::vector<IpNet>& addresses) {
  for (const char* entry : forwarding_entries(addresses)) {
    if (sysctl::read(entry).value_or("1") == "1") continue;
    throw Error(ErrorCode::kMismatch, concat("sysctl ", entry, " is not 1"));
  }
}

}  // namespace cni
