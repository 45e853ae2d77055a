// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "netlink/link.h"

/// Creating links. Each request fails with EEXIST when the name is taken, EOPNOTSUPP when the
/// kernel does not have the kind.
namespace cni::netlink {

/// What a link of every kind can be given in the request that makes it. It is down then.
struct NewLink {
  std::string name;
  std::optional<Mac> mac;  // else random, or the lower link's
  unsigned mtu = 0;        // 0: the kernel's default
  std::uint32_t group = 0;
  int master = 0;   // ifindex: it becomes a port of this link
  int lower = 0;    // ifindex of the link it stands on, in the socket's namespace
  int netns = -1;   // descriptor: born there; -1: in the socket's namespace
  int ifindex = 0;  // 0: the kernel chooses
  std::optional<unsigned> tx_queue_len;  // packets
};

/// `fill` writes what is the kind's own.
[[nodiscard]] Message new_link(const NewLink& link, std::string_view kind,
                               const std::function<void(Message& data)>& fill = {});

/// A MAC that is given is kept: the bridge never follows its ports.
[[nodiscard]] Message new_bridge(const NewLink& link, bool vlan_filtering);

/// A link "ifb", without an address: what is redirected to it passes its qdisc and then goes on as
/// if it had not left its way.
[[nodiscard]] Message new_ifb(const NewLink& link);

/// Both ends of a pair, each with one queue; the host's does not wait in line.
[[nodiscard]] Message new_veth(const NewLink& end, const NewLink& peer);

/// Kinds macvlan and macvtap.
struct Macvlan {
  std::uint32_t mode = 0;                               // MACVLAN_MODE_*
  std::optional<std::uint32_t> broadcast_queue_length;  // told by the kernel since 5.11
};
struct Ipvlan {
  std::uint16_t mode = 0;   // IPVLAN_MODE_*
  std::uint16_t flags = 0;  // IPVLAN_F_*
  friend bool operator==(const Ipvlan&, const Ipvlan&) = default;
};
struct Vlan {
  struct Map {
    std::uint32_t from = 0, to = 0;  // priorities: of the packet, of the frame; or back
    friend auto operator<=>(const Map&, const Map&) = default;
  };
  std::uint16_t id = 0;
  std::uint16_t protocol = 0;  // ETH_P_8021Q, ETH_P_8021AD
  std::vector<Map> egress, ingress;
  friend bool operator==(const Vlan&, const Vlan&) = default;
};
struct Vrf {
  std::uint32_t table = 0;
  friend bool operator==(const Vrf&, const Vrf&) = default;
};
struct Vxlan {
  std::uint32_t id = 0;
  std::optional<IpAddress> local;
  int lower = 0;  // ifindex
  std::uint16_t port = 4789;
  bool learning = false;
  friend bool operator==(const Vxlan&, const Vxlan&) = default;
};

// For new_link: what stands in `data` for each.
void fill(Message& data, const Macvlan& macvlan);
void fill(Message& data, const Ipvlan& ipvlan);
void fill(Message& data, const Vlan& vlan);
void fill(Message& data, const Vrf& vrf);
void fill(Message& data, const Vxlan& vxlan);

/// The kind's own attributes in what a look-up (get_link_message) said; none when it found nothing.
[[nodiscard]] Attributes kind_data(const Message& answered);
void read(const Attributes& data, Macvlan& out);
void read(const Attributes& data, Ipvlan& out);
void read(const Attributes& data, Vlan& out);
void read(const Attributes& data, Vrf& out);
void read(const Attributes& data, Vxlan& out);

}  // namespace cni::netlink
