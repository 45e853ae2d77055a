// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/ip.h"

/// DHCP messages as bytes (RFC 2131, 2132). Pure: no I/O, no clock.
namespace cni::dhcp {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

enum class MessageType : std::uint8_t {
  kDiscover = 1,
  kOffer = 2,
  kRequest = 3,
  kDecline = 4,
  kAck = 5,
  kNak = 6,
  kRelease = 7,
};

namespace option {
inline constexpr std::uint8_t kPad = 0, kSubnetMask = 1, kRouter = 3, kDnsServers = 6,
                              kHostName = 12, kDomainName = 15, kMtu = 26, kStaticRoutes = 33,
                              kRequestedAddress = 50, kLeaseTime = 51, kOverload = 52,
                              kMessageType = 53, kServerId = 54, kParameterList = 55, kMessage = 56,
                              kMaxMessageSize = 57, kRenewalTime = 58, kRebindingTime = 59,
                              kVendorClass = 60, kClientId = 61, kUserClass = 77, kClientFqdn = 81,
                              kDomainSearch = 119, kClasslessRoutes = 121, kEnd = 255;
}  // namespace option

/// Options by code, each whole: pieces of a repeated option are one value here (RFC 3396).
using Options = std::map<std::uint8_t, Bytes>;

/// Of Ethernet, as the client sends and receives it.
struct Packet {
  enum class Op : std::uint8_t { kRequest = 1, kReply = 2 };

  Op op = Op::kRequest;
  std::uint32_t xid = 0;
  std::uint16_t secs = 0;
  bool broadcast = false;  // the flag: answer by broadcast
  IpAddress ciaddr, yiaddr, siaddr, giaddr;
  Mac chaddr;
  Options options;

  /// nullopt when it is no such message, or a length in it is wrong. Options in the fields for
  /// names count (option overload); one that only the end of the packet ends is taken.
  [[nodiscard]] static std::optional<Packet> parse(View bytes);
  /// At least 300 bytes. Options in the order of their codes, those longer than 255 bytes in
  /// pieces.
  [[nodiscard]] Bytes encode() const;

  /// nullopt when it has none that we know.
  [[nodiscard]] std::optional<MessageType> type() const noexcept;
  void set_type(MessageType type);

  friend bool operator==(const Packet&, const Packet&) = default;
};

// Single values; nullopt (or none) when the option is absent or has a wrong length.

[[nodiscard]] std::optional<std::uint8_t> get_u8(const Options& options, std::uint8_t code);
[[nodiscard]] std::optional<std::uint16_t> get_u16(const Options& options, std::uint8_t code);
[[nodiscard]] std::optional<std::uint32_t> get_u32(const Options& options, std::uint8_t code);
[[nodiscard]] std::optional<IpAddress> get_address(const Options& options, std::uint8_t code);
[[nodiscard]] std::vector<IpAddress> get_addresses(const Options& options, std::uint8_t code);
/// Without zeros at its end; only printable ASCII, the rest as '?'.
[[nodiscard]] std::string get_text(const Options& options, std::uint8_t code);

void put_u16(Options& options, std::uint8_t code, std::uint16_t value);
void put_u32(Options& options, std::uint8_t code, std::uint32_t value);
void put_address(Options& options, std::uint8_t code, const IpAddress& address);

}  // namespace cni::dhcp
