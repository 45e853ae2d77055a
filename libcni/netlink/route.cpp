// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/route.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <iterator>

#include "base/concat.h"

namespace cni::netlink {
namespace {

IpAddress address_of(std::span<const std::uint8_t> bytes) {
  return IpAddress::from_bytes(bytes.size() == 4 ? Family::kV4 : Family::kV6, bytes);
}

KernelRoute parse_route(const rtmsg& info, const Attributes& attributes) {
  KernelRoute out;
  const Family family = info.rtm_family == AF_INET ? Family::kV4 : Family::kV6;
  out.dst = {IpAddress::from_bytes(family, attributes.bytes(RTA_DST)), info.rtm_dst_len};
  if (const auto gw = attributes.bytes(RTA_GATEWAY); !gw.empty()) out.gateway = address_of(gw);
  if (const auto src = attributes.bytes(RTA_PREFSRC); !src.empty()) out.source = address_of(src);
  out.ifindex = static_cast<int>(attributes.u32(RTA_OIF));
  out.table = attributes.u32(RTA_TABLE, info.rtm_table);
  out.metric = attributes.u32(RTA_PRIORITY);
  out.scope = info.rtm_scope;
  out.protocol = info.rtm_protocol;
  const Attributes metrics = attributes.nested(RTA_METRICS);
  out.mtu = metrics.u32(RTAX_MTU);
  out.advmss = metrics.u32(RTAX_ADVMSS);
  return out;
}

/// One for each next hop: multipath routes name their links in RTA_MULTIPATH only.
std::vector<KernelRoute> next_hops(const KernelRoute& route, std::span<const std::uint8_t> hops) {
  std::vector<KernelRoute> out;
  for (std::size_t at = 0; at + sizeof(rtnexthop) <= hops.size();) {
    rtnexthop hop{};
    std::memcpy(&hop, hops.data() + at, sizeof hop);
    if (hop.rtnh_len < sizeof hop || at + hop.rtnh_len > hops.size()) break;
    const void* const first = hops.data() + at + sizeof hop;
    const auto gw =
        Attributes(static_cast<const nlattr*>(first), hop.rtnh_len - static_cast<int>(sizeof hop))
            .bytes(RTA_GATEWAY);
    at += (hop.rtnh_len + std::size_t{3}) & ~std::size_t{3};
    out.push_back(route);
    out.back().ifindex = hop.rtnh_ifindex;
    if (!gw.empty()) out.back().gateway = address_of(gw);
  }
  return out;
}

/// The unicast routes that `request` asks for and `wanted` says yes to, one for each next hop.
std::vector<KernelRoute> list(Socket& socket, Message& request,
                              const std::function<bool(const KernelRoute&)>& wanted) {
  std::vector<KernelRoute> out;
  socket.dump(
      request, [&] { out.clear(); },
      [&](const Reply& reply) {
        const auto& info = reply.header<rtmsg>();
        if (info.rtm_type != RTN_UNICAST || (info.rtm_flags & RTM_F_CLONED) != 0) return;
        const Attributes attributes = reply.attributes<rtmsg>();
        const KernelRoute route = parse_route(info, attributes);
        std::vector<KernelRoute> all = next_hops(route, attributes.bytes(RTA_MULTIPATH));
        if (all.empty()) all.push_back(route);
        for (KernelRoute& one : all) {
          if (wanted(one)) out.push_back(std::move(one));
        }
      });
  return out;
}

std::vector<KernelRoute> list_family(Socket& socket, int ifindex, std::uint8_t family) {
  Message message(RTM_GETROUTE, 0, concat("list routes of link ", ifindex));
  rtmsg filter{};
  filter.rtm_family = family;
  message.header(filter);
  message.tolerate(ENODEV);  // it has gone meanwhile
  message.put_u32(RTA_OIF, static_cast<std::uint32_t>(ifindex));
  return list(socket, message, [&](const KernelRoute& route) { return route.ifindex == ifindex; });
}

std::vector<KernelRoute> list_defaults(Socket& socket, std::uint8_t family) {
  Message message(RTM_GETROUTE, 0, "list default routes");
  rtmsg filter{};
  filter.rtm_family = family;
  message.header(filter);
  message.put_u32(RTA_TABLE, kMainTable);
  return list(socket, message, [](const KernelRoute& route) {
    return route.dst.prefix == 0 && route.table == kMainTable && route.ifindex != 0;
  });
}

std::optional<Way> ask_way(Socket& socket, const IpAddress& to, const IpAddress* source,
                           int input) {
  Message message(RTM_GETROUTE, 0, concat("look up the route to ", to.text()));
  rtmsg header{};
  header.rtm_family = to.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<std::uint8_t>(to.bits());
  if (source != nullptr) header.rtm_src_len = static_cast<std::uint8_t>(to.bits());
  message.header(header);
  message.put_bytes(RTA_DST, to.bytes());
  if (source != nullptr) {
    message.put_bytes(RTA_SRC, source->bytes());
    message.put_u32(RTA_IIF, static_cast<std::uint32_t>(input));
  }
  for (const int none : {ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, EAFNOSUPPORT, EOPNOTSUPP}) {
    message.tolerate(none);  // also: prohibited, blackholed, a family the kernel does not have
  }
  socket.transact(message);
  const auto reply = message.reply();
  if (!reply) return std::nullopt;
  const std::uint8_t type = reply->header<rtmsg>().rtm_type;
  if (type != RTN_UNICAST && type != RTN_LOCAL) return std::nullopt;
  // For IPv6 an unreachable destination is an answer with an error inside.
  const Attributes attributes = reply->attributes<rtmsg>();
  const auto cache = attributes.bytes(RTA_CACHEINFO);
  rta_cacheinfo cached{};
  if (cache.size() >= sizeof cached) std::memcpy(&cached, cache.data(), sizeof cached);
  if (cached.rta_error != 0) return std::nullopt;
  return Way{.ifindex = static_cast<int>(attributes.u32(RTA_OIF)),
             .local = type == RTN_LOCAL,
             .direct = attributes.bytes(RTA_GATEWAY).empty() && attributes.bytes(RTA_VIA).empty()};
}

}  // namespace

std::optional<Way> find_way(Socket& socket, const IpAddress& to) {
  return ask_way(socket, to, nullptr, 0);
}

std::optional<Way> find_way(Socket& socket, const IpAddress& to, const IpAddress& source,
                            int input) {
  return ask_way(socket, to, &source, input);
}

Message new_local_route(const IpAddress& address, int ifindex, const std::string& link) {
  constexpr std::uint32_t kMetric = 2048;  // and the index: IPv6 has one route of a metric
  Message message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                  concat("add local route to ", address.text(), " on link ", quote(link)));
  rtmsg header{};
  header.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<std::uint8_t>(address.bits());
  header.rtm_table = RT_TABLE_LOCAL;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_HOST;
  header.rtm_type = RTN_LOCAL;
  message.header(header);
  message.put_bytes(RTA_DST, address.bytes());
  message.put_u32(RTA_OIF, static_cast<std::uint32_t>(ifindex));
  message.put_u32(RTA_PRIORITY, kMetric + static_cast<std::uint32_t>(ifindex));
  return message;
}

Message delete_route(const KernelRoute& route, const std::string& link) {
  Message message(RTM_DELROUTE, NLM_F_ACK,
                  concat("delete route ", text(route), " of link ", quote(link)));
  rtmsg header{};
  header.rtm_family = route.dst.address.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<std::uint8_t>(route.dst.prefix);
  header.rtm_table = static_cast<std::uint8_t>(route.table < 256 ? route.table : 0);
  header.rtm_scope = RT_SCOPE_NOWHERE;  // any
  message.header(header);
  message.put_bytes(RTA_DST, route.dst.address.bytes());
  message.put_u32(RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
  message.put_u32(RTA_TABLE, route.table);
  if (route.gateway) message.put_bytes(RTA_GATEWAY, route.gateway->bytes());
  if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
  return message;
}

Message new_route(const KernelRoute& route, const std::string& link, Existing existing) {
  Message message(RTM_NEWROUTE,
                  NLM_F_ACK | NLM_F_CREATE | (existing == Existing::kRefuse ? NLM_F_EXCL : 0U),
                  concat("add route ", text(route), " on link ", quote(link)));
  rtmsg header{};
  header.rtm_family = route.dst.address.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<std::uint8_t>(route.dst.prefix);
  header.rtm_table = static_cast<std::uint8_t>(route.table < 256 ? route.table : 0);
  header.rtm_protocol = route.protocol != 0 ? route.protocol : std::uint8_t{RTPROT_BOOT};
  header.rtm_scope = static_cast<std::uint8_t>(route.scope.value_or(RT_SCOPE_UNIVERSE));
  header.rtm_type = RTN_UNICAST;
  if (route.onlink) header.rtm_flags = RTNH_F_ONLINK;
  message.header(header);
  message.put_bytes(RTA_DST, route.dst.address.bytes());
  message.put_u32(RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
  message.put_u32(RTA_TABLE, route.table);
  if (route.gateway) message.put_bytes(RTA_GATEWAY, route.gateway->bytes());
  if (route.source) message.put_bytes(RTA_PREFSRC, route.source->bytes());
  if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
  if (route.mtu != 0 || route.advmss != 0) {
    message.nest(RTA_METRICS, [&](Message& metrics) {
      if (route.mtu != 0) metrics.put_u32(RTAX_MTU, route.mtu);
      if (route.advmss != 0) metrics.put_u32(RTAX_ADVMSS, route.advmss);
    });
  }
  return message;
}

std::vector<KernelRoute> list_routes(Socket& socket, int ifindex) {
  std::vector<KernelRoute> out = list_family(socket, ifindex, AF_INET);
  std::ranges::move(list_family(socket, ifindex, AF_INET6), std::back_inserter(out));
  return out;
}

bool KernelRoute::is_made_by_kernel() const noexcept {
  return protocol == RTPROT_KERNEL || protocol == RTPROT_RA;
}

std::vector<SavedRoute> list_saved_routes(Socket& socket, int ifindex) {
  std::vector<SavedRoute> out;
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    Message request(RTM_GETROUTE, 0, "list routes");
    rtmsg filter{};
    filter.rtm_family = family;
    request.header(filter);
    const std::size_t before = out.size();
    socket.dump(
        request, [&] { out.resize(before); },
        [&](const Reply& reply) {
          const auto& info = reply.header<rtmsg>();
          const bool wanted = ifindex == 0 || info.rtm_type == RTN_UNICAST;
          if (info.rtm_family != family || !wanted || (info.rtm_flags & RTM_F_CLONED) != 0) return;
          const Attributes attributes = reply.attributes<rtmsg>();
          const KernelRoute route = parse_route(info, attributes);
          const auto hops = next_hops(route, attributes.bytes(RTA_MULTIPATH));
          const auto leads = [&](const KernelRoute& hop) { return hop.ifindex == ifindex; };
          if (ifindex != 0 && !leads(route) && std::ranges::none_of(hops, leads)) return;
          out.push_back({Saved::of(reply), hops.empty() ? route : hops.front()});
        });
  }
  std::ranges::stable_sort(out, std::ranges::greater(),
                           [](const SavedRoute& one) { return one.route.scope.value_or(0); });
  return out;
}

std::optional<int> find_default_link(Socket& socket) {
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    const std::vector<KernelRoute> routes = list_defaults(socket, family);
    const auto best = std::ranges::min_element(routes, {}, &KernelRoute::metric);
    if (best != routes.end()) return best->ifindex;
  }
  return std::nullopt;
}

std::vector<int> list_links_with_advertised_routes(Socket& socket) {
  Message message(RTM_GETROUTE, 0, "list IPv6 routes");
  rtmsg filter{};
  filter.rtm_family = AF_INET6;
  message.header(filter);
  std::vector<int> out;
  for (const KernelRoute& route :
       list(socket, message, [](const KernelRoute& one) { return one.protocol == RTPROT_RA; })) {
    if (std::ranges::find(out, route.ifindex) == out.end()) out.push_back(route.ifindex);
  }
  return out;
}

unsigned effective_metric(const KernelRoute& route) noexcept {
  constexpr unsigned kDefaultV6 = 1024;  // IP6_RT_PRIO_USER
  return route.metric == 0 && !route.dst.address.is_v4() ? kDefaultV6 : route.metric;
}

std::string text(const KernelRoute& route) {
  std::string out = route.dst.text();
  if (route.gateway) out += concat(" via ", route.gateway->text());
  if (route.metric != 0) out += concat(" metric ", route.metric);
  if (route.table != kMainTable) out += concat(" table ", route.table);
  if (route.mtu != 0) out += concat(" mtu ", route.mtu);
  return out;
}

}  // namespace cni::netlink
