// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/ip.h"
#include "model/port_mapping.h"
#include "ports.h"

namespace cni::portmap {

/// `tcp dport ...`: holds for a mapping or does not, whatever the packet.
struct PortCondition {
  PortMapping::Protocol protocol = PortMapping::Protocol::kTcp;
  bool negated = false;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ranges;

  [[nodiscard]] bool holds_for(const PortMapping& mapping) const noexcept;
};

/// Conditions in the words of nft(8), all of which must hold: `ip saddr`, `ip daddr` (ip6 for
/// IPv6), `iifname` (`meta iifname`), `tcp dport` (udp, sctp); then `!=`, `==` or nothing, and a
/// value, a range ("10.0.0.1-10.0.0.9", "80-89") or several of them in braces.
struct Conditions {
  std::vector<Condition> of_packets;
  std::vector<PortCondition> of_ports;

  /// Throws Error{kInvalidConfig} that begins with `key` for what it does not understand.
  [[nodiscard]] static Conditions parse(const std::string& key, Family family,
                                        const std::vector<std::string>& tokens);
};

}  // namespace cni::portmap
