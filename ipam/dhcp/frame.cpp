// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "frame.h"

#include <algorithm>

namespace cni::dhcp {
namespace {

constexpr std::size_t kIpHeader = 20, kUdpHeader = 8;
constexpr std::uint8_t kUdp = 17, kTimeToLive = 64;
constexpr std::uint16_t kMoreFragments = 0x2000, kFragmentOffset = 0x1fff;

std::uint16_t read_u16(View bytes, std::size_t at) {
  return static_cast<std::uint16_t>(unsigned{bytes[at]} << 8U | bytes[at + 1]);
}

void write_u16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8U);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

/// The sum of 16-bit words of the Internet checksum; an odd byte at the end counts as high.
std::uint32_t sum(View bytes, std::uint32_t start = 0) {
  std::uint32_t out = start;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) out += read_u16(bytes, i);
  if (bytes.size() % 2 != 0) out += std::uint32_t{bytes.back()} << 8U;
  return out;
}

std::uint16_t fold(std::uint32_t value) {
  while (value > 0xffff) value = (value & 0xffffU) + (value >> 16U);
  return static_cast<std::uint16_t>(~value);
}

/// Of a whole packet without IP options or with; `udp` is the part from the UDP header on.
std::uint16_t udp_checksum(View packet, View udp) {
  const std::uint32_t pseudo =
      sum(packet.subspan(12, 8), kUdp + static_cast<std::uint32_t>(udp.size()));
  return fold(sum(udp, pseudo));
}

}  // namespace

Bytes encode_datagram(const Datagram& datagram) {
  Bytes out(kIpHeader + kUdpHeader);
  out[0] = 0x45;
  write_u16(out, 2, out.size() + datagram.payload.size());
  out[8] = kTimeToLive;
  out[9] = kUdp;
  std::ranges::copy(datagram.source.bytes(), out.begin() + 12);
  std::ranges::copy(datagram.destination.bytes(), out.begin() + 16);
  write_u16(out, 10, fold(sum(View(out).first(kIpHeader))));
  write_u16(out, 20, datagram.source_port);
  write_u16(out, 22, datagram.destination_port);
  write_u16(out, 24, kUdpHeader + datagram.payload.size());
  out.insert(out.end(), datagram.payload.begin(), datagram.payload.end());
  const std::uint16_t checksum = udp_checksum(out, View(out).subspan(kIpHeader));
  write_u16(out, 26, checksum == 0 ? 0xffff : checksum);
  return out;
}

std::optional<Datagram> parse_datagram(View packet, Checksum checksum) {
  if (packet.size() < kIpHeader || packet[0] >> 4U != 4) return std::nullopt;
  const std::size_t header = std::size_t{packet[0] & 0x0fU} * 4;
  const std::size_t total = read_u16(packet, 2);
  if (header < kIpHeader || total < header + kUdpHeader || total > packet.size()) {
    return std::nullopt;
  }
  packet = packet.first(total);
  if (packet[9] != kUdp || (read_u16(packet, 6) & (kMoreFragments | kFragmentOffset)) != 0 ||
      fold(sum(packet.first(header))) != 0) {
    return std::nullopt;
  }
  View udp = packet.subspan(header);
  const std::size_t length = read_u16(udp, 4);
  if (length < kUdpHeader || length > udp.size()) return std::nullopt;
  udp = udp.first(length);
  const bool has_checksum = read_u16(udp, 6) != 0;
  if (checksum == Checksum::kComplete && has_checksum && udp_checksum(packet, udp) != 0) {
    return std::nullopt;
  }
  return Datagram{.source = IpAddress::from_bytes(Family::kV4, packet.subspan(12, 4)),
                  .destination = IpAddress::from_bytes(Family::kV4, packet.subspan(16, 4)),
                  .source_port = read_u16(udp, 0),
                  .destination_port = read_u16(udp, 2),
                  .payload = udp.subspan(kUdpHeader)};
}

}  // namespace cni::dhcp
