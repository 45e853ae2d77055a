// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/change.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "netlink/address.h"
#include "netlink/route.h"

namespace cni::dhcp {
namespace {

using netlink::KernelRoute;
using netlink::Message;

KernelRoute kernel_route(const Route& route, const netlink::Link& link) {
  KernelRoute out{.dst = route.dst,
                  .gateway = route.gw,
                  .ifindex = link.ifindex,
                  .table = route.table.value_or(netlink::kMainTable),
                  .metric = route.priority,
                  .scope = route.scope,
                  .mtu = route.mtu,
                  .advmss = route.advmss,
                  .source = {}};
  if (out.gateway && out.gateway->is_unspecified()) out.gateway.reset();
  return out;
}

template <typename T>
bool contains(const std::vector<T>& all, const T& one) {
  return std::ranges::find(all, one) != all.end();
}

bool has_address(const Result& result, const IpNet& address) {
  return std::ranges::any_of(result.ips, [&](const IpConfig& ip) { return ip.address == address; });
}

void send(netlink::Socket& socket, std::vector<Message>& messages) {
  std::vector<Message*> pointers;
  for (Message& message : messages) pointers.push_back(&message);
  if (!pointers.empty()) socket.transact(pointers);
}

}  // namespace

void change(netlink::Socket& socket, const netlink::Link& link, const Result& before,
            const Result& now) {
  std::vector<Message> messages;
  for (const IpConfig& ip : now.ips) {
    messages.push_back(
        netlink::new_address(link.ifindex, link.name, ip.address, netlink::Dad::kSkip));
    messages.back().tolerate(EEXIST);
  }
  // A route that differs in more than its destination may not stand beside the old one.
  for (const Route& route : before.routes) {
    if (contains(now.routes, route)) continue;
    messages.push_back(netlink::delete_route(kernel_route(route, link), link.name));
    messages.back().tolerate(ESRCH);
  }
  for (const Route& route : now.routes) {
    messages.push_back(netlink::new_route(kernel_route(route, link), link.name));
    messages.back().tolerate(EEXIST);
  }
  for (const IpConfig& ip : before.ips) {
    if (has_address(now, ip.address)) continue;
    messages.push_back(netlink::delete_address(link.ifindex, link.name, ip.address));
    messages.back().tolerate(EADDRNOTAVAIL);
  }
  send(socket, messages);
}

void take_away(netlink::Socket& socket, const netlink::Link& link, const Result& before) {
  change(socket, link, before, {});
}

}  // namespace cni::dhcp
