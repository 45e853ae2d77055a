// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/configure_interface.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/monitor.h"

namespace cni {
namespace {

using netlink::KernelRoute;
using netlink::Link;
using netlink::Message;

/// What must be set before the link is up. Called inside the sandbox.
void write_sysctls(const std::string& link, bool has_v6, const InterfaceSetup& setup) {
  const bool perform = setup.dad == netlink::Dad::kPerform;
  if (perform) sysctl::write(sysctl::link_entry("ipv6", link, "enhanced_dad"), "1");
  sysctl::write(sysctl::link_entry("ipv6", link, "accept_dad"), perform ? "1" : "0");
  if (!has_v6) return;
  // Container runtimes switch IPv6 off where they think it unused.
  sysctl::write(sysctl::link_entry("ipv6", "lo", "disable_ipv6"), "0");
  if (!sysctl::write(sysctl::link_entry("ipv6", link, "disable_ipv6"), "0")) {
    throw Error(ErrorCode::kKernel,
                concat("cannot add IPv6 addresses to ", quote(link), ": no sysctl ",
                       sysctl::link_entry("ipv6", link, "disable_ipv6")),
                sysctl::read(sysctl::link_entry("ipv6", "all", "disable_ipv6"))
                    ? "the link has gone, or its MTU is below the 1280 bytes that IPv6 needs"
                    : "the kernel runs without IPv6");
  }
  sysctl::write(sysctl::link_entry("ipv6", link, "keep_addr_on_down"), "1");
  if (setup.announce_v6) sysctl::write(sysctl::link_entry("ipv6", link, "ndisc_notify"), "1");
}

/// An address's own gateway is on the link, also where neither a subnet nor another route says so.
void mark_onlink(std::vector<KernelRoute>& routes, const Result& result) {
  std::vector<IpNet> on_link;
  for (const IpConfig& ip : result.ips) on_link.push_back(ip.address);
  for (const KernelRoute& route : routes) {
    if (!route.gateway) on_link.push_back(route.dst);
  }
  for (const IpConfig& ip : result.ips) {
    if (!ip.gateway || (!ip.gateway->is_v4() && ip.gateway->is_link_local())) continue;
    const auto has_gateway = [&](const IpNet& net) { return net.contains(*ip.gateway); };
    if (std::ranges::any_of(on_link, has_gateway)) continue;
    for (KernelRoute& route : routes) route.onlink = route.onlink || route.gateway == ip.gateway;
  }
}

}  // namespace

std::vector<KernelRoute> kernel_routes(const Result& result, int ifindex) {
  std::optional<IpAddress> gateways[2];  // first of IPv4, of IPv6
  for (const IpConfig& ip : result.ips) {
    auto& gateway = gateways[ip.address.address.is_v4() ? 0 : 1];
    if (!gateway) gateway = ip.gateway;
  }
  std::set<Route> seen;
  std::vector<KernelRoute> out;
  for (Route route : result.routes) {
    const bool direct = route.scope == netlink::kScopeLink;
    if (!route.gw && !direct) route.gw = gateways[route.dst.address.is_v4() ? 0 : 1];
    route.dst = route.dst.network();  // the kernel drops the host bits, or refuses them
    if (!seen.insert(route).second) continue;
    out.push_back({.dst = route.dst,
                   // DHCP's way to say: on the link.
                   .gateway = route.gw && !route.gw->is_unspecified() ? route.gw : std::nullopt,
                   .ifindex = ifindex,
                   .table = route.table.value_or(netlink::kMainTable),
                   .metric = route.priority,
                   .scope = route.scope,
                   .mtu = route.mtu,
                   .advmss = route.advmss,
                   .source = {},
                   .protocol = 0});
  }
  return out;
}

void configure_interface(Sandbox& sandbox, const Link& link, const Result& result,
                         const InterfaceSetup& setup) {
  const log::Step timed("configure the container's interface");
  const bool has_v6 = std::ranges::any_of(
      result.ips, [](const IpConfig& ip) { return !ip.address.address.is_v4(); });
  sandbox.run([&] { write_sysctls(link.name, has_v6, setup); });

  std::vector<Message> messages;
  if (setup.announce) messages.push_back(netlink::announce_addresses(link.ifindex, link.name));
  for (const IpConfig& ip : result.ips) {
    if (ip.interface != setup.index) continue;
    messages.push_back(
        netlink::new_address(link.ifindex, link.name, ip.address, setup.dad, setup.prefix_route));
  }
  messages.push_back(netlink::change_link(link.ifindex, link.name, {.up = true}));
  std::vector<KernelRoute> routes = setup.first;
  std::ranges::copy(kernel_routes(result, link.ifindex), std::back_inserter(routes));
  mark_onlink(routes, result);
  // Routes out of addresses that are still tentative cannot be used as a source: wait in between.
  const bool settle = has_v6 && setup.dad == netlink::Dad::kPerform;
  if (!settle) {
    for (const KernelRoute& route : routes) {
      messages.push_back(netlink::new_route(route, link.name));
    }
  }
  const auto send = [&] {
    std::vector<Message*> pointers;
    for (Message& message : messages) pointers.push_back(&message);
    if (!pointers.empty()) sandbox.route().transact(pointers);
  };
  send();
  if (!settle) return;
  if (!netlink::wait_until_settled(sandbox.route(), sandbox.netns(), link.ifindex, link.name)) {
    Deadline::expired(concat("link ", quote(link.name), " still has tentative addresses"));
  }
  messages.clear();
  for (const KernelRoute& route : routes) {
    messages.push_back(netlink::new_route(route, link.name));
  }
  send();
}

void check_interface(Sandbox& sandbox, const Link& link, const Result& result,
                     const std::vector<KernelRoute>& first) {
  std::set<IpNet> addresses;
  for (const netlink::Address& address : netlink::list_addresses(sandbox.route(), link.ifindex)) {
    addresses.insert(address.net);
  }
  for (const IpConfig& ip : result.ips) {
    if (!addresses.contains(ip.address)) {
      throw Error(ErrorCode::kMismatch,
                  concat("address ", ip.address.text(), " is not on interface ", quote(link.name)));
    }
  }
  std::vector<KernelRoute> routes = first;
  std::ranges::copy(kernel_routes(result, link.ifindex), std::back_inserter(routes));
  check_routes(sandbox.route(), link, routes);
}

void check_routes(netlink::Socket& socket, const Link& link,
                  const std::vector<KernelRoute>& routes) {
  auto installed = netlink::list_routes(socket, link.ifindex);
  std::ranges::sort(installed, {}, &KernelRoute::dst);
  for (const KernelRoute& wanted : routes) {
    // Not equal_range: clang 14 does not take its result with libstdc++ 12.
    const auto begin = std::ranges::lower_bound(installed, wanted.dst, {}, &KernelRoute::dst);
    const auto end = std::ranges::upper_bound(installed, wanted.dst, {}, &KernelRoute::dst);
    const bool found = std::any_of(begin, end, [&](const KernelRoute& have) {
      const bool same_metric = have.metric == netlink::effective_metric(wanted);
      const bool same_scope =
          !wanted.scope || !wanted.dst.address.is_v4() || have.scope == wanted.scope;
      const bool same_source = !wanted.source || have.source == wanted.source;
      return have.gateway == wanted.gateway && have.table == wanted.table && same_metric &&
             same_scope && same_source && have.mtu == wanted.mtu && have.advmss == wanted.advmss;
    });
    if (!found) {
      throw Error(ErrorCode::kMismatch, concat("route ", netlink::text(wanted),
                                               " is not on interface ", quote(link.name)));
    }
  }
}

void check_reported(const Link& link, const Interface& reported) {
  if (!reported.mac.empty() && Mac::try_parse(reported.mac) != link.mac) {
    throw Error(ErrorCode::kMismatch, concat("interface ", quote(link.name), " has MAC ",
                                             link.mac.text(), " instead of ", reported.mac));
  }
  if (reported.mtu != 0 && reported.mtu != link.mtu) {
    throw Error(ErrorCode::kMismatch, concat("interface ", quote(link.name), " has MTU ", link.mtu,
                                             " instead of ", reported.mtu));
  }
}

}  // namespace cni
