// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/kinds.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <algorithm>
#include <cstring>

#include "base/concat.h"

namespace cni::netlink {
namespace {

Message creation(const NewLink& link, std::string what) {
  Message message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, std::move(what));
  ifinfomsg info{};
  info.ifi_index = link.ifindex;
  message.header(info);
  return message;
}

void put_common(Message& message, const NewLink& link) {
  message.put_text(IFLA_IFNAME, link.name);
  if (link.mac) message.put_bytes(IFLA_ADDRESS, link.mac->bytes);
  if (link.tx_queue_len) message.put_u32(IFLA_TXQLEN, *link.tx_queue_len);
  if (link.mtu != 0) message.put_u32(IFLA_MTU, link.mtu);
  if (link.group != 0) message.put_u32(IFLA_GROUP, link.group);
  if (link.master != 0) message.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(link.master));
  if (link.lower != 0) message.put_u32(IFLA_LINK, static_cast<std::uint32_t>(link.lower));
  if (link.netns >= 0) message.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(link.netns));
}

/// Without these the kernel makes a queue for every possible CPU and then gives up all but one of
/// them, for which it waits for an RCU grace period at either end.
void put_single_queues(Message& message) {
  message.put_u32(IFLA_NUM_TX_QUEUES, 1);
  message.put_u32(IFLA_NUM_RX_QUEUES, 1);
}

void put_kind(Message& message, std::string_view kind,
              const std::function<void(Message& data)>& fill) {
  message.nest(IFLA_LINKINFO, [&](Message& info) {
    info.put_text(IFLA_INFO_KIND, kind);
    if (fill) info.nest(IFLA_INFO_DATA, fill);
  });
}

void put_qos(Message& data, int attribute, const std::vector<Vlan::Map>& maps) {
  if (maps.empty()) return;
  data.nest(attribute, [&](Message& list) {
    for (const Vlan::Map& map : maps) {
      const ifla_vlan_qos_mapping pair{map.from, map.to};
      list.put_struct(IFLA_VLAN_QOS_MAPPING, &pair, sizeof pair);
    }
  });
}

std::vector<Vlan::Map> read_qos(const Attributes& list) {
  std::vector<Vlan::Map> out;
  list.for_each([&](const nlattr* item) {
    ifla_vlan_qos_mapping pair{};
    const auto bytes = Value(item).bytes();
    if (bytes.size() < sizeof pair) return;
    std::memcpy(&pair, bytes.data(), sizeof pair);
    out.push_back({pair.from, pair.to});
  });
  std::ranges::sort(out);
  return out;
}

}  // namespace

Message new_link(const NewLink& link, std::string_view kind,
                 const std::function<void(Message& data)>& fill) {
  Message message = creation(link, concat("create ", kind, " ", quote(link.name)));
  message.needs(concat("links of kind ", quote(kind), " (module ", kind, ")"));
  put_common(message, link);
  put_kind(message, kind, fill);
  return message;
}

Message new_bridge(const NewLink& link, bool vlan_filtering) {
  if (!vlan_filtering) return new_link(link, "bridge");
  Message message =
      new_link(link, "bridge", [](Message& data) { data.put_u8(IFLA_BR_VLAN_FILTERING, 1); });
  message.needs(kVlanFiltering);
  return message;
}

Message new_ifb(const NewLink& link) {
  NewLink direct = link;
  direct.tx_queue_len = 0;
  return new_link(direct, "ifb");
}

Message new_veth(const NewLink& end, const NewLink& peer) {
  Message message =
      creation(end, concat("create veth ", quote(end.name), " with peer ", quote(peer.name)));
  put_common(message, end);
  // The host's end needs no queue: it only hands over to the container's end.
  message.put_u32(IFLA_TXQLEN, 0);
  put_single_queues(message);
  put_kind(message, "veth", [&](Message& data) {
    data.nest(VETH_INFO_PEER, [&](Message& other) {
      other.header(ifinfomsg{});
      put_common(other, peer);
      put_single_queues(other);
    });
  });
  return message;
}

void fill(Message& data, const Macvlan& macvlan) {
  data.put_u32(IFLA_MACVLAN_MODE, macvlan.mode);
  if (macvlan.broadcast_queue_length) {
    data.put_u32(IFLA_MACVLAN_BC_QUEUE_LEN, *macvlan.broadcast_queue_length);
  }
}

void fill(Message& data, const Ipvlan& ipvlan) {
  data.put_u16(IFLA_IPVLAN_MODE, ipvlan.mode);
  data.put_u16(IFLA_IPVLAN_FLAGS, ipvlan.flags);
}

void fill(Message& data, const Vlan& vlan) {
  data.put_u16(IFLA_VLAN_ID, vlan.id);
  data.put_u16(IFLA_VLAN_PROTOCOL, htons(vlan.protocol));
  put_qos(data, IFLA_VLAN_EGRESS_QOS, vlan.egress);
  put_qos(data, IFLA_VLAN_INGRESS_QOS, vlan.ingress);
}

void fill(Message& data, const Vrf& vrf) { data.put_u32(IFLA_VRF_TABLE, vrf.table); }

void fill(Message& data, const Vxlan& vxlan) {
  data.put_u32(IFLA_VXLAN_ID, vxlan.id);
  if (vxlan.local) {
    data.put_bytes(vxlan.local->is_v4() ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6,
                   vxlan.local->bytes());
  }
  if (vxlan.lower != 0) data.put_u32(IFLA_VXLAN_LINK, static_cast<std::uint32_t>(vxlan.lower));
  data.put_u16(IFLA_VXLAN_PORT, htons(vxlan.port));
  data.put_u8(IFLA_VXLAN_LEARNING, vxlan.learning ? 1 : 0);
}

Attributes kind_data(const Message& answered) {
  const auto reply = answered.reply();
  if (!reply) return {static_cast<const nlattr*>(nullptr), 0};
  return reply->attributes<ifinfomsg>().nested(IFLA_LINKINFO).nested(IFLA_INFO_DATA);
}

void read(const Attributes& data, Macvlan& out) {
  out.mode = data.u32(IFLA_MACVLAN_MODE);
  out.broadcast_queue_length.reset();
  if (data.find(IFLA_MACVLAN_BC_QUEUE_LEN) != nullptr) {
    out.broadcast_queue_length = data.u32(IFLA_MACVLAN_BC_QUEUE_LEN);
  }
}

void read(const Attributes& data, Ipvlan& out) {
  out.mode = data.u16(IFLA_IPVLAN_MODE);
  out.flags = data.u16(IFLA_IPVLAN_FLAGS);
}

void read(const Attributes& data, Vlan& out) {
  out.id = data.u16(IFLA_VLAN_ID);
  out.protocol = ntohs(data.u16(IFLA_VLAN_PROTOCOL, htons(ETH_P_8021Q)));
  out.egress = read_qos(data.nested(IFLA_VLAN_EGRESS_QOS));
  out.ingress = read_qos(data.nested(IFLA_VLAN_INGRESS_QOS));
}

void read(const Attributes& data, Vrf& out) { out.table = data.u32(IFLA_VRF_TABLE); }

void read(const Attributes& data, Vxlan& out) {
  out.id = data.u32(IFLA_VXLAN_ID);
  out.local.reset();
  if (const auto v4 = data.bytes(IFLA_VXLAN_LOCAL); v4.size() == 4) {
    out.local = IpAddress::from_bytes(Family::kV4, v4);
  } else if (const auto v6 = data.bytes(IFLA_VXLAN_LOCAL6); v6.size() == 16) {
    out.local = IpAddress::from_bytes(Family::kV6, v6);
  }
  out.lower = static_cast<int>(data.u32(IFLA_VXLAN_LINK));
  out.port = ntohs(data.u16(IFLA_VXLAN_PORT));
  out.learning = data.u8(IFLA_VXLAN_LEARNING) != 0;
}

}  // namespace cni::netlink
