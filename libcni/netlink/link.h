// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "netlink/socket.h"

namespace cni::netlink {

/// A network device as the kernel reports it, in the namespace of the socket that asked.
struct Link {
  int ifindex = 0;
  std::string name;
  std::string kind;  // "bridge", "veth", ...; empty for hardware and lo
  std::string alias;
  Mac mac;
  unsigned mtu = 0;             // bytes
  unsigned flags = 0;           // IFF_*
  std::uint32_t group = 0;      // 0: "default"
  int master = 0;               // ifindex, 0: none
  int peer = 0;                 // ifindex of a veth's other end, in its namespace
  bool peer_elsewhere = false;  // the peer is in another namespace
  std::uint8_t operstate = 0;   // IF_OPER_*
  unsigned tx_queue_len = 0;    // packets
  bool vlan_filtering = false;  // of a bridge

  /// Of a bridge port.
  struct Port {
    bool hairpin = false;
    bool isolated = false;
    std::uint8_t state = 0;  // BR_STATE_*
  };
  std::optional<Port> port;

  [[nodiscard]] bool is_up() const noexcept;
  [[nodiscard]] bool is_operational() const noexcept;  // IF_OPER_UP or unknown
};

/// By its name or one of its second names.
[[nodiscard]] std::optional<Link> find_link(Socket& socket, const std::string& name);
[[nodiscard]] std::optional<Link> find_link(Socket& socket, int ifindex);
/// Throws KernelError(ENODEV) naming the link.
[[nodiscard]] Link get_link(Socket& socket, const std::string& name);
/// All links; those of one master when it is not 0; of one kind when it is not empty.
[[nodiscard]] std::vector<Link> list_links(Socket& socket, int master = 0,
                                           const std::string& kind = {});

/// Bytes of an alias: the kernel counts the end of the text.
inline constexpr std::size_t kMaxAlias = 254;

// Requests, to be sent by Socket::transact.

/// The look-up find_link makes; its answer is read by link_of.
[[nodiscard]] Message get_link_message(const std::string& name);
/// nullopt when the answer was ENODEV.
[[nodiscard]] std::optional<Link> link_of(const Message& answered);

/// A link's group can be given in the request that creates it, its alias cannot: this one marks
/// links of ours that have no label yet. The request that labels them clears it.
inline constexpr std::uint32_t kUnfinishedGroup = 0x636e6970;

/// What bridges with VLANs need of the kernel.
inline constexpr const char* kVlanFiltering =
    "VLAN filtering of bridges (CONFIG_BRIDGE_VLAN_FILTERING)";

/// What is set is changed, in one request. The link is named by ifindex, or by name when that is 0.
/// `what` says in errors what the change is for.
struct LinkChange {
  std::optional<bool> up;
  std::optional<bool> promiscuous, all_multicast;
  std::optional<Mac> mac;
  std::optional<unsigned> mtu;
  std::optional<unsigned> tx_queue_len;
  std::optional<std::string> alias;
  std::optional<std::uint32_t> group;
  std::optional<bool> vlan_filtering;               // of a bridge
  std::optional<bool> port_hairpin, port_isolated;  // of a bridge port
};
[[nodiscard]] Message change_link(int ifindex, const std::string& name, const LinkChange& change,
                                  std::string_view what = "set up link");

/// The link makes itself no IPv6 link-local address when it comes up. Without effect where the link
/// has no IPv6. Named by `name`.
[[nodiscard]] Message no_link_local_address(const std::string& name);

/// From now on the link announces its IPv4 addresses by ARP when it comes up or its MAC changes:
/// the sysctl arp_notify. Without effect where the link has no IPv4.
[[nodiscard]] Message announce_addresses(int ifindex, const std::string& name);

/// Gives the link a second name, by which it is found as by the first. EEXIST when that is taken,
/// EOPNOTSUPP before Linux 5.5.
[[nodiscard]] Message add_name(const std::string& name, const std::string& second);

[[nodiscard]] Message delete_link(int ifindex, const std::string& name);
/// False when there is none (any more).
bool delete_link_if_exists(Socket& socket, int ifindex, const std::string& name);

}  // namespace cni::netlink
