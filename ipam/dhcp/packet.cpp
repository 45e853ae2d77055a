// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "packet.h"

#include <algorithm>
#include <array>

namespace cni::dhcp {
namespace {

// The fixed part of a message (RFC 2131, section 2).
constexpr std::size_t kHardwareType = 1, kHardwareLength = 2, kXid = 4, kSecs = 8, kFlags = 10,
                      kCiaddr = 12, kYiaddr = 16, kSiaddr = 20, kGiaddr = 24, kChaddr = 28,
                      kSname = 44, kFile = 108, kCookie = 236, kOptions = 240;
constexpr std::size_t kSnameSize = 64, kFileSize = 128;
constexpr std::size_t kLeastSize = 300;  // some relays drop what is shorter (RFC 1542, 2.1)
constexpr std::array<std::uint8_t, 4> kMagic{99, 130, 83, 99};
constexpr std::uint8_t kEthernet = 1;
constexpr std::size_t kMacSize = 6;
constexpr std::uint16_t kBroadcastFlag = 0x8000;
constexpr std::size_t kMaxPiece = 255;
constexpr std::uint8_t kOverloadFile = 1, kOverloadSname = 2;

std::uint16_t read_u16(View bytes) {
  return static_cast<std::uint16_t>(unsigned{bytes[0]} << 8U | bytes[1]);
}

std::uint32_t read_u32(View bytes) {
  return std::uint32_t{bytes[0]} << 24U | std::uint32_t{bytes[1]} << 16U |
         std::uint32_t{bytes[2]} << 8U | bytes[3];
}

void write_u16(std::uint8_t* to, std::uint16_t value) {
  to[0] = static_cast<std::uint8_t>(value >> 8U);
  to[1] = static_cast<std::uint8_t>(value);
}

void write_u32(std::uint8_t* to, std::uint32_t value) {
  write_u16(to, static_cast<std::uint16_t>(value >> 16U));
  write_u16(to + 2, static_cast<std::uint16_t>(value));
}

IpAddress read_address(View bytes) { return IpAddress::from_bytes(Family::kV4, bytes.first(4)); }

void write_address(std::uint8_t* to, const IpAddress& address) {
  std::ranges::copy(address.bytes().first(4), to);
}

/// Adds the options of one field. False when one is longer than what is left of it.
bool collect_options(View field, Options& out) {
  while (!field.empty() && field[0] != option::kEnd) {
    if (field[0] == option::kPad) {
      field = field.subspan(1);
      continue;
    }
    if (field.size() < 2 || field.size() - 2 < field[1]) return false;
    Bytes& value = out[field[0]];
    const View piece = field.subspan(2, field[1]);
    value.insert(value.end(), piece.begin(), piece.end());
    field = field.subspan(2 + piece.size());
  }
  return true;
}

void append_option(Bytes& out, std::uint8_t code, View value) {
  do {
    const View piece = value.first(std::min(value.size(), kMaxPiece));
    out.push_back(code);
    out.push_back(static_cast<std::uint8_t>(piece.size()));
    out.insert(out.end(), piece.begin(), piece.end());
    value = value.subspan(piece.size());
  } while (!value.empty());
}

View find(const Options& options, std::uint8_t code) {
  const auto found = options.find(code);
  return found == options.end() ? View() : View(found->second);
}

}  // namespace

std::optional<Packet> Packet::parse(View bytes) {
  if (bytes.size() < kOptions) return std::nullopt;
  if (bytes[0] != static_cast<std::uint8_t>(Op::kRequest) &&
      bytes[0] != static_cast<std::uint8_t>(Op::kReply)) {
    return std::nullopt;
  }
  if (bytes[kHardwareType] != kEthernet || bytes[kHardwareLength] != kMacSize) return std::nullopt;
  if (!std::ranges::equal(bytes.subspan(kCookie, kMagic.size()), kMagic)) return std::nullopt;

  Packet out;
  out.op = static_cast<Op>(bytes[0]);
  out.xid = read_u32(bytes.subspan(kXid));
  out.secs = read_u16(bytes.subspan(kSecs));
  out.broadcast = (read_u16(bytes.subspan(kFlags)) & kBroadcastFlag) != 0;
  out.ciaddr = read_address(bytes.subspan(kCiaddr));
  out.yiaddr = read_address(bytes.subspan(kYiaddr));
  out.siaddr = read_address(bytes.subspan(kSiaddr));
  out.giaddr = read_address(bytes.subspan(kGiaddr));
  std::ranges::copy(bytes.subspan(kChaddr, kMacSize), out.chaddr.bytes.begin());

  if (!collect_options(bytes.subspan(kOptions), out.options)) return std::nullopt;
  const std::uint8_t overload = get_u8(out.options, option::kOverload).value_or(0);
  // The order in which pieces are put together (RFC 3396, section 5).
  if ((overload & kOverloadFile) != 0 &&
      !collect_options(bytes.subspan(kFile, kFileSize), out.options)) {
    return std::nullopt;
  }
  if ((overload & kOverloadSname) != 0 &&
      !collect_options(bytes.subspan(kSname, kSnameSize), out.options)) {
    return std::nullopt;
  }
  out.options.erase(option::kOverload);
  return out;
}

Bytes Packet::encode() const {
  Bytes out(kOptions);
  out[0] = static_cast<std::uint8_t>(op);
  out[kHardwareType] = kEthernet;
  out[kHardwareLength] = kMacSize;
  write_u32(&out[kXid], xid);
  write_u16(&out[kSecs], secs);
  write_u16(&out[kFlags], broadcast ? kBroadcastFlag : std::uint16_t{0});
  write_address(&out[kCiaddr], ciaddr);
  write_address(&out[kYiaddr], yiaddr);
  write_address(&out[kSiaddr], siaddr);
  write_address(&out[kGiaddr], giaddr);
  std::ranges::copy(chaddr.bytes, &out[kChaddr]);
  std::ranges::copy(kMagic, &out[kCookie]);
  for (const auto& [code, value] : options) append_option(out, code, value);
  out.push_back(option::kEnd);
  if (out.size() < kLeastSize) out.resize(kLeastSize);
  return out;
}

std::optional<MessageType> Packet::type() const noexcept {
  const View value = find(options, option::kMessageType);
  if (value.size() != 1 || value[0] < static_cast<std::uint8_t>(MessageType::kDiscover) ||
      value[0] > static_cast<std::uint8_t>(MessageType::kRelease)) {
    return std::nullopt;
  }
  return static_cast<MessageType>(value[0]);
}

void Packet::set_type(MessageType type) {
  options[option::kMessageType] = {static_cast<std::uint8_t>(type)};
}

std::optional<std::uint8_t> get_u8(const Options& options, std::uint8_t code) {
  const View value = find(options, code);
  if (value.size() != 1) return std::nullopt;
  return value[0];
}

std::optional<std::uint16_t> get_u16(const Options& options, std::uint8_t code) {
  const View value = find(options, code);
  if (value.size() != 2) return std::nullopt;
  return read_u16(value);
}

std::optional<std::uint32_t> get_u32(const Options& options, std::uint8_t code) {
  const View value = find(options, code);
  if (value.size() != 4) return std::nullopt;
  return read_u32(value);
}

std::optional<IpAddress> get_address(const Options& options, std::uint8_t code) {
  const View value = find(options, code);
  if (value.size() != 4) return std::nullopt;
  return read_address(value);
}

std::vector<IpAddress> get_addresses(const Options& options, std::uint8_t code) {
  std::vector<IpAddress> out;
  const View value = find(options, code);
  if (value.size() % 4 != 0) return out;
  for (std::size_t i = 0; i < value.size(); i += 4) out.push_back(read_address(value.subspan(i)));
  return out;
}

std::string get_text(const Options& options, std::uint8_t code) {
  View value = find(options, code);
  while (!value.empty() && value.back() == 0) value = value.first(value.size() - 1);
  std::string out;
  for (const std::uint8_t c : value) out += c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?';
  return out;
}

void put_u16(Options& options, std::uint8_t code, std::uint16_t value) {
  Bytes& out = options[code];
  out.resize(2);
  write_u16(out.data(), value);
}

void put_u32(Options& options, std::uint8_t code, std::uint32_t value) {
  Bytes& out = options[code];
  out.resize(4);
  write_u32(out.data(), value);
}

void put_address(Options& options, std::uint8_t code, const IpAddress& address) {
  const View bytes = address.bytes();
  options[code] = Bytes(bytes.begin(), bytes.end());
}

}  // namespace cni::dhcp
