// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/concat.h"
#include "base/error.h"

namespace cni::netlink {
namespace {

Mac mac_of(std::span<const std::uint8_t> bytes) {
  Mac mac;
  if (bytes.size() == mac.bytes.size()) std::ranges::copy(bytes, mac.bytes.begin());
  return mac;
}

void read_link_info(const Attributes& info, Link& link) {
  link.kind = info.text(IFLA_INFO_KIND);
  if (link.kind == "bridge") {
    link.vlan_filtering = info.nested(IFLA_INFO_DATA).u8(IFLA_BR_VLAN_FILTERING) != 0;
  }
  if (info.text(IFLA_INFO_SLAVE_KIND) != "bridge") return;
  const Attributes port = info.nested(IFLA_INFO_SLAVE_DATA);
  link.port = Link::Port{port.u8(IFLA_BRPORT_MODE) != 0, port.u8(IFLA_BRPORT_ISOLATED) != 0,
                         port.u8(IFLA_BRPORT_STATE)};
}

Link parse_link(const Reply& reply) {
  const auto& info = reply.header<ifinfomsg>();
  Link link;
  link.ifindex = info.ifi_index;
  link.flags = info.ifi_flags;
  // Some sixty attributes: looked at once, not once for each that is wanted.
  reply.attributes<ifinfomsg>().for_each([&](const nlattr* attribute) {
    const Value value(attribute);
    switch (nla_type(attribute)) {
      case IFLA_IFNAME:
        link.name = value.text();
        break;
      case IFLA_IFALIAS:
        link.alias = value.text();
        break;
      case IFLA_ADDRESS:
        link.mac = mac_of(value.bytes());
        break;
      case IFLA_MTU:
        link.mtu = value.u32();
        break;
      case IFLA_GROUP:
        link.group = value.u32();
        break;
      case IFLA_MASTER:
        link.master = static_cast<int>(value.u32());
        break;
      case IFLA_LINK:
        link.peer = static_cast<int>(value.u32());
        break;
      case IFLA_LINK_NETNSID:
        link.peer_elsewhere = true;
        break;
      case IFLA_OPERSTATE:
        link.operstate = value.u8();
        break;
      case IFLA_TXQLEN:
        link.tx_queue_len = value.u32();
        break;
      case IFLA_LINKINFO:
        read_link_info(Attributes(attribute), link);
        break;
      default:
        break;
    }
  });
  return link;
}

Message get_message(const std::string& what, int ifindex) {
  Message message(RTM_GETLINK, 0, what);
  ifinfomsg info{};
  info.ifi_index = ifindex;
  message.header(info);
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  message.tolerate(ENODEV);
  return message;
}

}  // namespace

bool Link::is_up() const noexcept { return (flags & IFF_UP) != 0; }
bool Link::is_operational() const noexcept {
  return operstate == IF_OPER_UP || operstate == IF_OPER_UNKNOWN;
}

Message get_link_message(const std::string& name) {
  Message message = get_message(concat("look up link ", quote(name)), 0);
  // Only a second name can be longer.
  message.put_text(name.size() < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name);
  return message;
}

std::optional<Link> link_of(const Message& answered) {
  const auto reply = answered.reply();
  if (!reply) return std::nullopt;
  return parse_link(*reply);
}

std::optional<Link> find_link(Socket& socket, const std::string& name) {
  Message message = get_link_message(name);
  socket.transact(message);
  return link_of(message);
}

std::optional<Link> find_link(Socket& socket, int ifindex) {
  Message message = get_message(concat("look up link ", ifindex), ifindex);
  socket.transact(message);
  return link_of(message);
}

Link get_link(Socket& socket, const std::string& name) {
  auto link = find_link(socket, name);
  if (!link) throw KernelError(ENODEV, concat("look up link ", quote(name)));
  return *std::move(link);
}

std::vector<Link> list_links(Socket& socket, int master, const std::string& kind) {
  Message message(RTM_GETLINK, 0, "list links");
  message.header(ifinfomsg{});
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  // Filters inside the kernel, where it knows them; older ones answer with everything.
  if (master != 0) message.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  if (!kind.empty()) {
    message.nest(IFLA_LINKINFO, [&](Message& m) { m.put_text(IFLA_INFO_KIND, kind); });
  }
  std::vector<Link> links;
  socket.dump(
      message, [&] { links.clear(); },
      [&](const Reply& reply) {
        Link link = parse_link(reply);
        if (master != 0 && link.master != master) return;
        if (!kind.empty() && link.kind != kind) return;
        links.push_back(std::move(link));
      });
  return links;
}

Message change_link(int ifindex, const std::string& name, const LinkChange& change,
                    std::string_view what) {
  Message message(RTM_NEWLINK, NLM_F_ACK, concat(what, " ", quote(name)));
  ifinfomsg info{};
  info.ifi_index = ifindex;
  const auto flag = [&](const std::optional<bool>& value, unsigned bit) {
    if (!value) return;
    info.ifi_change |= bit;
    if (*value) info.ifi_flags |= bit;
  };
  flag(change.up, IFF_UP);
  flag(change.promiscuous, IFF_PROMISC);
  flag(change.all_multicast, IFF_ALLMULTI);
  message.header(info);
  if (ifindex == 0) message.put_text(IFLA_IFNAME, name);
  if (change.mac) message.put_bytes(IFLA_ADDRESS, change.mac->bytes);
  if (change.mtu) message.put_u32(IFLA_MTU, *change.mtu);
  if (change.tx_queue_len) message.put_u32(IFLA_TXQLEN, *change.tx_queue_len);
  if (change.alias) message.put_text(IFLA_IFALIAS, *change.alias);
  if (change.group) message.put_u32(IFLA_GROUP, *change.group);
  if (!change.vlan_filtering && !change.port_hairpin && !change.port_isolated) return message;
  message.nest(IFLA_LINKINFO, [&](Message& linkinfo) {
    if (change.vlan_filtering) {
      message.needs(kVlanFiltering);
      linkinfo.put_text(IFLA_INFO_KIND, "bridge");
      linkinfo.nest(IFLA_INFO_DATA, [&](Message& data) {
        data.put_u8(IFLA_BR_VLAN_FILTERING, *change.vlan_filtering ? 1 : 0);
      });
    }
    if (!change.port_hairpin && !change.port_isolated) return;
    linkinfo.put_text(IFLA_INFO_SLAVE_KIND, "bridge");
    linkinfo.nest(IFLA_INFO_SLAVE_DATA, [&](Message& data) {
      if (change.port_hairpin) data.put_u8(IFLA_BRPORT_MODE, *change.port_hairpin ? 1 : 0);
      if (change.port_isolated) data.put_u8(IFLA_BRPORT_ISOLATED, *change.port_isolated ? 1 : 0);
    });
  });
  return message;
}

Message no_link_local_address(const std::string& name) {
  Message message(RTM_NEWLINK, NLM_F_ACK, concat("set addrgenmode of ", quote(name)));
  message.header(ifinfomsg{});
  message.put_text(IFLA_IFNAME, name);
  message.nest(IFLA_AF_SPEC, [](Message& families) {
    families.nest(AF_INET6,
                  [](Message& v6) { v6.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); });
  });
  message.tolerate(EAFNOSUPPORT);
  return message;
}

Message announce_addresses(int ifindex, const std::string& name) {
  Message message(RTM_NEWLINK, NLM_F_ACK, concat("set arp_notify of ", quote(name)));
  ifinfomsg info{};
  info.ifi_index = ifindex;
  message.header(info);
  message.nest(IFLA_AF_SPEC, [](Message& families) {
    families.nest(AF_INET, [](Message& v4) {
      v4.nest(IFLA_INET_CONF, [](Message& conf) { conf.put_u32(IPV4_DEVCONF_ARP_NOTIFY, 1); });
    });
  });
  message.tolerate(EAFNOSUPPORT);
  return message;
}

Message add_name(const std::string& name, const std::string& second) {
  Message message(RTM_NEWLINKPROP, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                  concat("name link ", quote(name), " ", quote(second), " too"));
  message.header(ifinfomsg{});
  message.put_text(IFLA_IFNAME, name);
  message.nest(IFLA_PROP_LIST, [&](Message& list) { list.put_text(IFLA_ALT_IFNAME, second); });
  return message;
}

Message delete_link(int ifindex, const std::string& name) {
  Message message(RTM_DELLINK, NLM_F_ACK, concat("delete link ", quote(name)));
  ifinfomsg info{};
  info.ifi_index = ifindex;
  message.header(info);
  return message;
}

bool delete_link_if_exists(Socket& socket, int ifindex, const std::string& name) {
  Message message = delete_link(ifindex, name);
  message.tolerate(ENODEV);
  socket.transact(message);
  return message.error() == 0;
}

}  // namespace cni::netlink
