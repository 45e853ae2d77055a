// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>

#include "packet.h"

/// IPv4 and UDP around a DHCP message, for sockets below both. Pure.
namespace cni::dhcp {

inline constexpr std::uint16_t kServerPort = 67, kClientPort = 68;

struct Datagram {
  IpAddress source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  View payload;
};

/// The datagram as an IPv4 packet. The payload is at most 1,472 bytes.
[[nodiscard]] Bytes encode_datagram(const Datagram& datagram);

/// Whether the sender's UDP checksum can be relied on: a sender on this host leaves it to hardware
/// that a packet never reaches.
enum class Checksum : std::uint8_t { kComplete, kUnfinished };
/// nullopt for what is no whole IPv4 UDP datagram, or has a wrong checksum. The payload is part of
/// `packet`; what follows the datagram (padding of the link) is left out.
[[nodiscard]] std::optional<Datagram> parse_datagram(View packet, Checksum checksum);

}  // namespace cni::dhcp
