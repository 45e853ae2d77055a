// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/bridge_vlan.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/concat.h"
#include "netlink/link.h"

namespace cni::netlink {
namespace {

constexpr std::uint16_t kFirstVlan = 1, kLastVlan = 4094;

Message vlan_message(std::uint16_t type, int ifindex, std::string what) {
  Message message(type, NLM_F_ACK, std::move(what));
  ifinfomsg info{};
  info.ifi_family = AF_BRIDGE;
  info.ifi_index = ifindex;
  message.header(info);
  message.needs(kVlanFiltering);
  return message;
}

void put_vlan(Message& message, std::uint16_t id, unsigned flags) {
  const bridge_vlan_info info{static_cast<std::uint16_t>(flags), id};
  message.put_struct(IFLA_BRIDGE_VLAN_INFO, &info, sizeof info);
}

/// Ranges come as a pair: begin, end.
void parse_vlans(const Attributes& specification, std::vector<PortVlan>& out) {
  std::uint16_t begin = 0;
  specification.for_each([&](const nlattr* item) {
    bridge_vlan_info info{};
    if (nla_type(item) != IFLA_BRIDGE_VLAN_INFO || nla_len(item) < static_cast<int>(sizeof info)) {
      return;
    }
    std::memcpy(&info, nla_data(item), sizeof info);
    if (info.vid > kLastVlan) return;  // none: the loop over a range must end
    if ((info.flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) != 0) {
      begin = info.vid;
      return;
    }
    const bool range = (info.flags & BRIDGE_VLAN_INFO_RANGE_END) != 0;
    for (std::uint16_t id = range ? begin : info.vid; id <= info.vid; ++id) {
      out.push_back({id, (info.flags & BRIDGE_VLAN_INFO_PVID) != 0,
                     (info.flags & BRIDGE_VLAN_INFO_UNTAGGED) != 0});
    }
  });
}

}  // namespace

Message add_port_vlans(int ifindex, const std::string& port, const std::vector<PortVlan>& vlans) {
  Message message =
      vlan_message(RTM_SETLINK, ifindex, concat("set the VLANs of bridge port ", quote(port)));
  message.nest(IFLA_AF_SPEC, [&](Message& specification) {
    for (std::size_t i = 0; i < vlans.size(); ++i) {
      const PortVlan& vlan = vlans[i];
      // Tagged VLANs in a row as a range: a trunk of all ids must fit the message.
      std::size_t last = i;
      while (!vlan.pvid && !vlan.untagged && last + 1 < vlans.size() &&
             vlans[last + 1] == PortVlan{static_cast<std::uint16_t>(vlans[last].id + 1)}) {
        ++last;
      }
      if (last > i) {
        put_vlan(specification, vlan.id, BRIDGE_VLAN_INFO_RANGE_BEGIN);
        put_vlan(specification, vlans[last].id, BRIDGE_VLAN_INFO_RANGE_END);
        i = last;
        continue;
      }
      put_vlan(specification, vlan.id,
               (vlan.pvid ? BRIDGE_VLAN_INFO_PVID : 0U) |
                   (vlan.untagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0U));
    }
  });
  return message;
}

Message clear_port_vlans(int ifindex, const std::string& port) {
  Message message =
      vlan_message(RTM_DELLINK, ifindex, concat("clear the VLANs of bridge port ", quote(port)));
  message.nest(IFLA_AF_SPEC, [](Message& specification) {
    put_vlan(specification, kFirstVlan, BRIDGE_VLAN_INFO_RANGE_BEGIN);
    put_vlan(specification, kLastVlan, BRIDGE_VLAN_INFO_RANGE_END);
  });
  return message;
}

std::vector<PortVlan> list_port_vlans(Socket& socket, int ifindex) {
  Message message(RTM_GETLINK, 0, concat("list the VLANs of bridge port ", ifindex));
  ifinfomsg info{};
  info.ifi_family = AF_BRIDGE;
  message.header(info);
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
  std::vector<PortVlan> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        if (reply.header<ifinfomsg>().ifi_index != ifindex) return;
        parse_vlans(reply.attributes<ifinfomsg>().nested(IFLA_AF_SPEC), out);
      });
  std::ranges::sort(out);
  return out;
}

}  // namespace cni::netlink
