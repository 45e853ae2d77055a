// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/ip.h"

#include <arpa/inet.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/concat.h"
#include "base/error.h"

namespace cni {
namespace {

constexpr std::uint8_t kPortByte = 0xfe;
constexpr std::array<std::uint8_t, 12> kV4Mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string v6_text(std::span<const std::uint8_t> bytes) {
  std::array<unsigned, 8> words{};
  for (std::size_t i = 0; i < 8; ++i) words[i] = bytes[2 * i] * 256U + bytes[2 * i + 1];
  std::size_t best = 8;  // first longest run of at least two zero words (RFC 5952 section 4.2)
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t length = 0;
    while (i + length < 8 && words[i + length] == 0) ++length;
    if (length > best_length) {
      best = i;
      best_length = length;
    }
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += hex(words[i]);
  }
  return out;
}

std::optional<int> parse_number(std::string_view text, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (text.front() == '-' || value > max) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) noexcept {
  IpAddress out;
  for (std::size_t i = 0; i < 4; ++i) {
    out.bytes_[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  }
  return out;
}

IpAddress IpAddress::from_bytes(Family family, std::span<const std::uint8_t> bytes) {
  IpAddress out;
  out.family_ = family;
  std::copy_n(bytes.begin(), std::min<std::size_t>(bytes.size(), family == Family::kV4 ? 4 : 16),
              out.bytes_.begin());
  return out;
}

std::optional<IpAddress> IpAddress::try_parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return {};
  const std::string terminated(text);
  std::array<std::uint8_t, 16> raw{};
  if (inet_pton(AF_INET, terminated.c_str(), raw.data()) == 1) return from_bytes(Family::kV4, raw);
  if (inet_pton(AF_INET6, terminated.c_str(), raw.data()) != 1) return {};
  if (std::equal(kV4Mapped.begin(), kV4Mapped.end(), raw.begin())) {
    return from_bytes(Family::kV4, std::span(raw).subspan(12));
  }
  return from_bytes(Family::kV6, raw);
}

IpAddress IpAddress::parse(std::string_view text) {
  const auto parsed = try_parse(text);
  if (!parsed) throw Error(ErrorCode::kInvalidConfig, concat("not an IP address: ", quote(text)));
  return *parsed;
}

std::string IpAddress::text() const {
  if (!is_v4()) return v6_text(bytes());
  return concat(unsigned{bytes_[0]}, ".", unsigned{bytes_[1]}, ".", unsigned{bytes_[2]}, ".",
                unsigned{bytes_[3]});
}

IpAddress IpAddress::plus(std::int64_t n) const noexcept {
  IpAddress out = *this;
  std::int64_t carry = n;
  for (std::size_t i = bytes().size(); i-- > 0 && carry != 0;) {
    carry += out.bytes_[i];
    out.bytes_[i] = static_cast<std::uint8_t>(carry & 0xff);
    carry >>= 8;  // arithmetic: borrows propagate as -1
  }
  return out;
}

IpAddress IpAddress::network(int prefix) const noexcept {
  IpAddress out = *this;
  for (int bit = prefix; bit < bits(); ++bit) {
    out.bytes_[static_cast<std::size_t>(bit / 8)] &=
        static_cast<std::uint8_t>(~(0x80 >> (bit % 8)));
  }
  return out;
}

IpAddress IpAddress::last(int prefix) const noexcept {
  IpAddress out = *this;
  for (int bit = prefix; bit < bits(); ++bit) {
    out.bytes_[static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(0x80 >> (bit % 8));
  }
  return out;
}

bool IpAddress::is_unspecified() const noexcept {
  return std::ranges::all_of(bytes(), [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::is_loopback() const noexcept {
  if (is_v4()) return bytes_[0] == 127;
  return previous().is_unspecified();
}

bool IpAddress::is_link_local() const noexcept {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const noexcept {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

std::optional<IpNet> IpNet::try_parse(std::string_view text) {
  const auto slash = text.rfind('/');
  if (slash == std::string_view::npos) return {};
  const auto address = IpAddress::try_parse(text.substr(0, slash));
  if (!address) return {};
  // "::ffff:10.0.0.1/120" is 10.0.0.1/24
  const bool mapped = address->is_v4() && text.find(':') != std::string_view::npos;
  // "/016" is "/16", as for the reference.
  std::string_view digits = text.substr(slash + 1);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  const auto prefix = parse_number(digits, mapped ? 128 : address->bits());
  if (!prefix || (mapped && *prefix < 96)) return {};
  return IpNet{*address, mapped ? *prefix - 96 : *prefix};
}

IpNet IpNet::parse(std::string_view text) {
  const auto parsed = try_parse(text);
  if (!parsed) throw Error(ErrorCode::kInvalidConfig, concat("not a CIDR: ", quote(text)));
  return *parsed;
}

std::string IpNet::text() const { return concat(address.text(), "/", prefix); }

bool IpNet::contains(const IpAddress& other) const noexcept {
  return other.family() == family() && other.network(prefix) == address.network(prefix);
}

std::optional<std::string> subnet_problem(const IpNet& subnet) {
  if (subnet.address.is_multicast()) return concat(subnet.text(), " is for multicast");
  if (subnet.address.is_loopback()) {
    return concat(subnet.text(), " is the loopback subnet, which never leaves a host");
  }
  return std::nullopt;
}

std::optional<std::string> gateway_problem(const IpNet& subnet, const IpAddress& gateway) {
  if (gateway.family() != subnet.family()) {
    return concat("gateway ", gateway.text(), " is of another family than ", subnet.text());
  }
  const bool has_network_address = subnet.prefix + 2 <= gateway.bits();
  if (has_network_address && !gateway.is_unspecified() &&
      gateway == subnet.address.network(subnet.prefix)) {
    return concat("gateway ", gateway.text(), " is the network address of ",
                  subnet.network().text());
  }
  return std::nullopt;
}

std::optional<Mac> Mac::try_parse(std::string_view text) {
  const bool dotted = text.size() == 14;  // 0a58.0a00.0001
  if (!dotted && text.size() != 17) return {};
  const char separator = dotted ? '.' : text[2];
  if (!dotted && separator != ':' && separator != '-') return {};
  const std::size_t group = dotted ? 4 : 2;
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % (group + 1) != group) {
      digits += text[i];
    } else if (text[i] != separator) {
      return {};
    }
  }
  Mac out;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* begin = digits.data() + 2 * i;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(begin, begin + 2, value, 16);
    if (error != std::errc{} || end != begin + 2) return {};
    out.bytes[i] = static_cast<std::uint8_t>(value);
  }
  return out;
}

Mac Mac::parse_unicast(std::string_view text, std::string_view where) {
  const auto mac = try_parse(text);
  if (!mac) {
    throw Error(ErrorCode::kInvalidConfig, concat(where, ": not a MAC address: ", quote(text)));
  }
  if ((mac->bytes[0] & 1) != 0 || mac->is_zero()) {
    throw Error(ErrorCode::kInvalidConfig,
                concat(where, ": not a unicast MAC address: ", quote(text)));
  }
  return *mac;
}

Mac Mac::random() {
  Mac out;
  if (::getrandom(out.bytes.data(), out.bytes.size(), 0) != 6) throw_errno("get random bytes");
  out.bytes[0] = static_cast<std::uint8_t>((out.bytes[0] & 0xfe) | 0x02);
  if (out.bytes[0] == kPortByte) out.bytes[0] = 0x02;
  return out;
}

Mac Mac::random_of_port() {
  Mac out = random();
  out.bytes[0] = kPortByte;
  return out;
}

std::string Mac::text() const {
  std::string out;
  for (const std::uint8_t byte : bytes) {
    if (!out.empty()) out += ':';
    out += hex(byte, 2);
  }
  return out;
}

}  // namespace cni
