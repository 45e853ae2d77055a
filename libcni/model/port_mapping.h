// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

#include "model/ip.h"

namespace cni {

/// One published port: what comes to the host's port goes to the container's.
struct PortMapping {
  enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };  // IPPROTO_*

  Protocol protocol = Protocol::kTcp;
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  std::optional<IpAddress> host_ip;  // an unspecified one: any address of its family

  [[nodiscard]] bool serves(Family family) const noexcept {
    return !host_ip || host_ip->family() == family;
  }
  /// The one address of the host that it is bound to.
  [[nodiscard]] std::optional<IpAddress> bound_to() const noexcept {
    return host_ip && !host_ip->is_unspecified() ? host_ip : std::nullopt;
  }
  /// Whether connections to a loopback address of the host can be meant.
  [[nodiscard]] bool includes_loopback() const noexcept {
    return !bound_to() || host_ip->is_loopback();
  }
  friend auto operator<=>(const PortMapping&, const PortMapping&) noexcept = default;
};

[[nodiscard]] constexpr std::string_view text(PortMapping::Protocol protocol) noexcept {
  switch (protocol) {
    case PortMapping::Protocol::kTcp:
      return "tcp";
    case PortMapping::Protocol::kUdp:
      return "udp";
    case PortMapping::Protocol::kSctp:
      return "sctp";
  }
  return "";
}

}  // namespace cni
