// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/concat.h"
#include "base/error.h"

namespace cni::netlink {
namespace {

Message address_message(std::uint16_t type, unsigned flags, int ifindex, const IpNet& net,
                        std::string what) {
  Message message(type, NLM_F_ACK | flags, std::move(what));
  ifaddrmsg header{};
  header.ifa_family = net.address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = static_cast<std::uint8_t>(net.prefix);
  header.ifa_index = static_cast<std::uint32_t>(ifindex);
  message.header(header);
  message.put_bytes(IFA_LOCAL, net.address.bytes());
  message.put_bytes(IFA_ADDRESS, net.address.bytes());
  return message;
}

}  // namespace

bool Address::is_tentative() const noexcept { return (flags & IFA_F_TENTATIVE) != 0; }
bool Address::dad_failed() const noexcept { return (flags & IFA_F_DADFAILED) != 0; }
bool Address::is_permanent() const noexcept { return (flags & IFA_F_PERMANENT) != 0; }

std::vector<Address> list_addresses(Socket& socket, int ifindex, std::optional<Family> family) {
  Message message(RTM_GETADDR, 0, concat("list addresses of link ", ifindex));
  ifaddrmsg filter{};
  if (family) filter.ifa_family = *family == Family::kV4 ? AF_INET : AF_INET6;
  filter.ifa_index = static_cast<std::uint32_t>(ifindex);
  message.header(filter);
  message.tolerate(ENODEV);  // it has gone meanwhile
  std::vector<Address> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        const auto& info = reply.header<ifaddrmsg>();
        if (info.ifa_index != filter.ifa_index) return;
        if (info.ifa_family != AF_INET && info.ifa_family != AF_INET6) return;
        if (family && info.ifa_family != filter.ifa_family) return;
        const Attributes attributes = reply.attributes<ifaddrmsg>();
        const bool v4 = info.ifa_family == AF_INET;
        // IFA_ADDRESS is the peer's on point-to-point links; IFA_LOCAL is ours where it is given.
        const bool has_local = attributes.find(IFA_LOCAL) != nullptr;
        const auto bytes = attributes.bytes(has_local ? IFA_LOCAL : IFA_ADDRESS);
        if (bytes.size() != (v4 ? 4U : 16U)) return;
        out.push_back(
            {{IpAddress::from_bytes(v4 ? Family::kV4 : Family::kV6, bytes), info.ifa_prefixlen},
             attributes.u32(IFA_FLAGS, info.ifa_flags),
             info.ifa_scope});
      });
  return out;
}

Message new_address(int ifindex, const std::string& link, const IpNet& net, Dad dad,
                    PrefixRoute prefix_route) {
  Message message = address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, net,
                                    concat("add address ", net.text(), " to link ", quote(link)));
  if (net.address.is_v4() && net.prefix < 31) {
    message.put_bytes(IFA_BROADCAST, net.address.last(net.prefix).bytes());
  }
  unsigned flags = 0;
  if (!net.address.is_v4() && dad == Dad::kSkip) flags |= IFA_F_NODAD;
  if (prefix_route == PrefixRoute::kNone) flags |= IFA_F_NOPREFIXROUTE;
  if (flags != 0) message.put_u32(IFA_FLAGS, flags);
  return message;
}

Message delete_address(int ifindex, const std::string& link, const IpNet& net) {
  return address_message(RTM_DELADDR, 0, ifindex, net,
                         concat("delete address ", net.text(), " of link ", quote(link)));
}

}  // namespace cni::netlink
