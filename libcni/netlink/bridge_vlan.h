// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netlink/socket.h"

namespace cni::netlink {

/// The VLANs of a bridge port, sorted by id.
struct PortVlan {
  std::uint16_t id = 0;
  bool pvid = false;      // untagged frames that come in belong to it
  bool untagged = false;  // its frames leave without tag
  friend auto operator<=>(const PortVlan&, const PortVlan&) noexcept = default;
};

/// EOPNOTSUPP when the kernel has no VLAN filtering.
[[nodiscard]] Message add_port_vlans(int ifindex, const std::string& port,
                                     const std::vector<PortVlan>& vlans);
/// Removes every VLAN of the port; those it does not have do not matter.
[[nodiscard]] Message clear_port_vlans(int ifindex, const std::string& port);
[[nodiscard]] std::vector<PortVlan> list_port_vlans(Socket& socket, int ifindex);

}  // namespace cni::netlink
