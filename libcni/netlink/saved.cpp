// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/saved.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/concat.h"
#include "base/error.h"

namespace cni::netlink {
namespace {

constexpr std::size_t kTypeDigits = 4;

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  throw Error(ErrorCode::kDecode, "not a hexadecimal number");
}

bool is_kept(const ifaddrmsg& info, const Attributes& attributes) {
  if (info.ifa_family == AF_INET) return true;
  if (info.ifa_family != AF_INET6) return false;
  const bool permanent = (attributes.u32(IFA_FLAGS, info.ifa_flags) & IFA_F_PERMANENT) != 0;
  constexpr std::uint8_t kByKernel = 3;  // IFAPROT_KERNEL_LL; told since Linux 5.18
  return permanent && attributes.u8(IFA_PROTO) != kByKernel;
}

/// Calls `visit` for the index of each of a multipath route's links, where it stands.
template <typename F>
void for_each_hop(std::string& body, std::size_t start, std::size_t end, F&& visit) {
  for (std::size_t at = start; at + sizeof(rtnexthop) <= end;) {
    rtnexthop hop{};
    std::memcpy(&hop, body.data() + at, sizeof hop);
    if (hop.rtnh_len < sizeof hop || at + hop.rtnh_len > end) return;
    visit(hop);
    std::memcpy(body.data() + at, &hop, sizeof hop);
    at += (hop.rtnh_len + std::size_t{3}) & ~std::size_t{3};
  }
}

/// Calls `visit(attribute, place of its value)` for each attribute of a route.
template <typename F>
void for_each_attribute(const std::string& body, F&& visit) {
  for (std::size_t at = sizeof(rtmsg); at + sizeof(nlattr) <= body.size();) {
    nlattr attribute{};
    std::memcpy(&attribute, body.data() + at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || at + attribute.nla_len > body.size()) return;
    visit(attribute, at + sizeof attribute);
    at += (attribute.nla_len + std::size_t{3}) & ~std::size_t{3};
  }
}

/// Calls `visit(index)` for every link number in a route, by reference; clears what the kernel
/// says about the links' state, which it does not take.
template <typename F>
void for_each_link(std::string& body, F&& visit) {
  rtmsg info{};
  if (body.size() < sizeof info) throw Error(ErrorCode::kDecode, "a route that is cut off");
  std::memcpy(&info, body.data(), sizeof info);
  info.rtm_flags &= RTNH_F_ONLINK;
  std::memcpy(body.data(), &info, sizeof info);
  for_each_attribute(body, [&](const nlattr& attribute, std::size_t value) {
    if (attribute.nla_type == RTA_OIF && attribute.nla_len == sizeof attribute + sizeof(int)) {
      int index = 0;
      std::memcpy(&index, body.data() + value, sizeof index);
      visit(index);
      std::memcpy(body.data() + value, &index, sizeof index);
    } else if (attribute.nla_type == RTA_MULTIPATH) {
      const std::size_t end = value - sizeof attribute + attribute.nla_len;
      for_each_hop(body, value, end, [&](rtnexthop& hop) {
        hop.rtnh_flags &= RTNH_F_ONLINK;
        visit(hop.rtnh_ifindex);
      });
    }
  });
}

/// Says another table, in header and attribute.
void set_table(std::string& body, std::uint32_t table) {
  rtmsg info{};
  if (body.size() < sizeof info) throw Error(ErrorCode::kDecode, "a route that is cut off");
  std::memcpy(&info, body.data(), sizeof info);
  info.rtm_table = static_cast<std::uint8_t>(table < 256 ? table : 0);
  std::memcpy(body.data(), &info, sizeof info);
  for_each_attribute(body, [&](const nlattr& attribute, std::size_t value) {
    if (attribute.nla_type == RTA_TABLE && attribute.nla_len == sizeof attribute + sizeof table) {
      std::memcpy(body.data() + value, &table, sizeof table);
    }
  });
}

bool leads_over(Saved& route, int ifindex) {
  bool found = false;
  for_each_link(route.body, [&](int& index) { found = found || index == ifindex; });
  return found;
}

bool is_somebodys(const rtmsg& info, std::uint32_t table) {
  return table != RT_TABLE_LOCAL && info.rtm_protocol != RTPROT_KERNEL &&
         info.rtm_protocol != RTPROT_RA && (info.rtm_flags & RTM_F_CLONED) == 0;
}

void collect_routes(Socket& socket, int ifindex, std::uint8_t family, std::vector<Saved>& out) {
  Message request(RTM_GETROUTE, 0, concat("list routes of link ", ifindex));
  rtmsg filter{};
  filter.rtm_family = family;
  request.header(filter);
  std::vector<std::pair<std::uint8_t, Saved>> found;
  socket.dump(
      request, [&] { found.clear(); },
      [&](const Reply& reply) {
        const auto& info = reply.header<rtmsg>();
        const auto table = reply.attributes<rtmsg>().u32(RTA_TABLE, info.rtm_table);
        if (info.rtm_family != family || !is_somebodys(info, table)) return;
        Saved route = Saved::of(reply);
        if (leads_over(route, ifindex)) found.emplace_back(info.rtm_scope, std::move(route));
      });
  // A gateway must be reachable before there is a route over it: the narrow scopes first.
  std::ranges::stable_sort(found, std::ranges::greater(),
                           [](const auto& one) { return one.first; });
  for (auto& [scope, route] : found) out.push_back(std::move(route));
}

}  // namespace

std::string Saved::text() const {
  std::string out = hex(type, kTypeDigits);
  for (const char c : body) out += hex(static_cast<unsigned char>(c), 2);
  return out;
}

Saved Saved::parse(std::string_view text) {
  if (text.size() < kTypeDigits || text.size() % 2 != 0) {
    throw Error(ErrorCode::kDecode, "a saved message that is cut off");
  }
  Saved out;
  for (std::size_t i = 0; i < kTypeDigits; ++i) {
    out.type = static_cast<std::uint16_t>(out.type * 16 + digit(text[i]));
  }
  for (std::size_t i = kTypeDigits; i < text.size(); i += 2) {
    out.body += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  return out;
}

Saved Saved::of(const Reply& reply) {
  const nlmsghdr* const message = reply;
  Saved out{.type = reply.type(), .body = {}};
  out.body.assign(static_cast<const char*>(nlmsg_data(message)),
                  static_cast<std::size_t>(nlmsg_datalen(message)));
  return out;
}

std::vector<Saved> save_addresses(Socket& socket, int ifindex) {
  Message request(RTM_GETADDR, 0, concat("list addresses of link ", ifindex));
  ifaddrmsg filter{};
  filter.ifa_index = static_cast<std::uint32_t>(ifindex);
  request.header(filter);
  std::vector<Saved> out;
  socket.dump(
      request, [&] { out.clear(); },
      [&](const Reply& reply) {
        const auto& info = reply.header<ifaddrmsg>();
        if (info.ifa_index != filter.ifa_index) return;
        if (is_kept(info, reply.attributes<ifaddrmsg>())) out.push_back(Saved::of(reply));
      });
  return out;
}

std::vector<Saved> save_routes(Socket& socket, int ifindex) {
  std::vector<Saved> out;
  collect_routes(socket, ifindex, AF_INET, out);
  collect_routes(socket, ifindex, AF_INET6, out);
  return out;
}

Message make_again(const Saved& saved, int before, int ifindex) {
  std::string body = saved.body;
  const char* what = "restore a rule";
  if (saved.type == RTM_NEWADDR) {
    what = "restore an address";
    ifaddrmsg info{};
    if (body.size() < sizeof info) throw Error(ErrorCode::kDecode, "an address that is cut off");
    std::memcpy(&info, body.data(), sizeof info);
    info.ifa_index = static_cast<std::uint32_t>(ifindex);
    std::memcpy(body.data(), &info, sizeof info);
  } else if (saved.type == RTM_NEWROUTE) {
    what = "restore a route";
    for_each_link(body, [&](int& index) {
      if (index == before) index = ifindex;
    });
  }
  // Routes to one destination keep their order.
  const auto existing = saved.type == RTM_NEWROUTE ? NLM_F_APPEND : NLM_F_EXCL;
  Message message(saved.type, static_cast<unsigned>(NLM_F_ACK | NLM_F_CREATE | existing),
                  concat(what, " of link ", ifindex));
  message.append(body.data(), body.size());
  return message;
}

Message make_in_table(const Saved& route, unsigned table) {
  std::string body = route.body;
  for_each_link(body, [](int&) {});
  set_table(body, table);
  Message message(RTM_NEWROUTE, static_cast<unsigned>(NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND),
                  concat("add a route to table ", table));
  message.append(body.data(), body.size());
  return message;
}

Message delete_route(const Saved& route) {
  Message message(RTM_DELROUTE, NLM_F_ACK, "delete a route");
  std::string body = route.body;
  for_each_link(body, [](int&) {});
  message.append(body.data(), body.size());
  return message;
}

bool leads_elsewhere(const Saved& route, int ifindex) {
  bool found = false;
  std::string body = route.body;
  for_each_link(body, [&](int& index) { found = found || index != ifindex; });
  return found;
}

}  // namespace cni::netlink
