// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "routed.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "attach/configure_interface.h"
#include "attach/layer3.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/address.h"

namespace cni::ptp {
namespace {

using netlink::KernelRoute;
using netlink::Link;
using netlink::Message;

IpAddress default_gateway(const IpNet& address) {
  const bool v4 = address.address.is_v4();
  const IpAddress first = address.address.network(address.prefix).next();
  // A subnet of one or two addresses has none to spare: the first one may be another container's.
  if (address.prefix < address.address.bits() - 1 && first != address.address) return first;
  return IpAddress::parse(v4 ? "169.254.1.1" : "fe80::1");
}

/// The gateways, each as a network of its own, without repetitions.
std::vector<IpNet> gateways_of(const Result& result) {
  std::vector<IpNet> out;
  for (const IpConfig& ip : result.ips) {
    if (!ip.gateway) continue;
    const IpNet gateway = IpNet::host(*ip.gateway);
    if (std::ranges::find(out, gateway) == out.end()) out.push_back(gateway);
  }
  return out;
}

std::vector<KernelRoute> host_routes(const Result& result, int ifindex) {
  std::vector<KernelRoute> out;
  for (const IpConfig& ip : result.ips) {
    out.push_back({.dst = IpNet::host(ip.address.address),
                   .gateway = {},
                   .ifindex = ifindex,
                   .scope = netlink::kScopeHost,
                   .source = {}});
  }
  return out;
}

bool has_route_to(const Result& result, const IpNet& network) {
  return std::ranges::any_of(result.routes, [&](const Route& route) {
    return route.dst.network() == network &&
           route.table.value_or(netlink::kMainTable) == netlink::kMainTable;
  });
}

}  // namespace

Result complete(Result result) {
  for (IpConfig& ip : result.ips) {
    ip.interface = kContainerIndex;
    require_possible_address(ip);
    if (!ip.gateway) ip.gateway = default_gateway(ip.address);
    if (*ip.gateway != ip.address.address) continue;
    throw Error(ErrorCode::kDelegate, concat("IPAM plugin returned address ", ip.address.text(),
                                             " with itself as the gateway"));
  }
  return result;
}

std::vector<KernelRoute> container_routes(const Result& result, int ifindex) {
  std::vector<KernelRoute> out;
  const auto add = [&](const IpNet& dst, std::optional<IpAddress> gateway, const IpConfig& ip) {
    const bool known = std::ranges::any_of(out, [&](const KernelRoute& r) { return r.dst == dst; });
    if (known || has_route_to(result, dst)) return;
    out.push_back({.dst = dst,
                   .gateway = gateway,
                   .ifindex = ifindex,
                   .scope = gateway ? netlink::kScopeUniverse : netlink::kScopeLink,
                   .source = ip.address.address});
  };
  for (const IpConfig& ip : result.ips) add(IpNet::host(*ip.gateway), std::nullopt, ip);
  for (const IpConfig& ip : result.ips) {
    if (ip.address.prefix < ip.address.address.bits()) add(ip.address.network(), ip.gateway, ip);
  }
  return out;
}

void configure_host_end(Host& host, const Link& link, const Result& result) {
  const log::Step timed("configure the host's end");
  const bool has_v6 = std::ranges::any_of(
      result.ips, [](const IpConfig& ip) { return !ip.address.address.is_v4(); });
  // An administrator may have switched IPv6 off for new links.
  if (has_v6) sysctl::write(sysctl::link_entry("ipv6", link.name, "disable_ipv6"), "0");
  std::vector<Message> messages;
  for (const IpNet& gateway : gateways_of(result)) {
    messages.push_back(netlink::new_address(link.ifindex, link.name, gateway, netlink::Dad::kSkip));
  }
  const std::size_t first_route = messages.size();
  for (const KernelRoute& route : host_routes(result, link.ifindex)) {
    messages.push_back(netlink::new_route(route, link.name, netlink::Existing::kRefuse));
    messages.back().tolerate(EEXIST);
  }
  std::vector<Message*> pointers;
  for (Message& message : messages) pointers.push_back(&message);
  host.route().transact(pointers);
  for (std::size_t i = first_route; i < messages.size(); ++i) {
    if (messages[i].error() != EEXIST) continue;
    throw Error(ErrorCode::kConflict,
                concat("address ", result.ips[i - first_route].address.address.text(),
                       " is routed to another link of the host"),
                concat(messages[i].what(), ": EEXIST"));
  }
}

void check_host_end(Host& host, const Link& link, const Result& result) {
  const auto present = netlink::list_addresses(host.route(), link.ifindex);
  for (const IpNet& gateway : gateways_of(result)) {
    const bool found = std::ranges::any_of(
        present, [&](const netlink::Address& address) { return address.net == gateway; });
    if (found) continue;
    throw Error(ErrorCode::kMismatch,
                concat("gateway address ", gateway.text(), " is not on link ", quote(link.name)));
  }
  check_routes(host.route(), link, host_routes(result, link.ifindex));
}

}  // namespace cni::ptp
