// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cni {

enum class Family : std::uint8_t { kV4 = 4, kV6 = 6 };

/// An IPv4 or IPv6 address. IPv4-mapped IPv6 text becomes IPv4, as in the reference. Ordering: all
/// of IPv4 before all of IPv6, numeric inside a family.
class IpAddress {
 public:
  constexpr IpAddress() noexcept = default;  // 0.0.0.0
  [[nodiscard]] static IpAddress v4(std::uint32_t host_order) noexcept;
  [[nodiscard]] static IpAddress from_bytes(Family family, std::span<const std::uint8_t> bytes);
  /// Dotted decimal without leading zeros, or RFC 4291 text without zone; nullopt otherwise.
  [[nodiscard]] static std::optional<IpAddress> try_parse(std::string_view text);
  /// As try_parse; throws Error{kInvalidConfig}.
  [[nodiscard]] static IpAddress parse(std::string_view text);

  [[nodiscard]] Family family() const noexcept { return family_; }
  [[nodiscard]] bool is_v4() const noexcept { return family_ == Family::kV4; }
  [[nodiscard]] int bits() const noexcept { return is_v4() ? 32 : 128; }
  /// Network byte order; 4 or 16 bytes.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
    return {bytes_.data(), is_v4() ? 4U : 16U};
  }
  /// Canonical text: dotted quad, or RFC 5952 (without its dotted form of embedded IPv4).
  [[nodiscard]] std::string text() const;

  /// The address `n` further (or back), modulo the size of the family.
  [[nodiscard]] IpAddress plus(std::int64_t n) const noexcept;
  [[nodiscard]] IpAddress next() const noexcept { return plus(1); }
  [[nodiscard]] IpAddress previous() const noexcept { return plus(-1); }
  /// The address with all bits after the prefix cleared / set.
  [[nodiscard]] IpAddress network(int prefix) const noexcept;
  [[nodiscard]] IpAddress last(int prefix) const noexcept;

  [[nodiscard]] bool is_unspecified() const noexcept;
  [[nodiscard]] bool is_loopback() const noexcept;
  [[nodiscard]] bool is_link_local() const noexcept;  // unicast: 169.254/16, fe80::/10
  [[nodiscard]] bool is_multicast() const noexcept;

  friend auto operator<=>(const IpAddress&, const IpAddress&) noexcept = default;

 private:
  Family family_ = Family::kV4;
  std::array<std::uint8_t, 16> bytes_{};  // unused tail is zero
};

/// An address with a prefix length (CIDR). The host bits are kept.
struct IpNet {
  IpAddress address;
  int prefix = 0;

  /// "10.1.2.3/24"; nullopt without a prefix or when it is too long for the family.
  [[nodiscard]] static std::optional<IpNet> try_parse(std::string_view text);
  /// As try_parse; throws Error{kInvalidConfig} `not a CIDR: "..."`.
  [[nodiscard]] static IpNet parse(std::string_view text);
  [[nodiscard]] static IpNet host(const IpAddress& address) { return {address, address.bits()}; }

  [[nodiscard]] Family family() const noexcept { return address.family(); }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] IpNet network() const noexcept { return {address.network(prefix), prefix}; }
  /// False for another family.
  [[nodiscard]] bool contains(const IpAddress& other) const noexcept;

  friend auto operator<=>(const IpNet&, const IpNet&) noexcept = default;
};

/// What speaks against containers with addresses of this subnet.
[[nodiscard]] std::optional<std::string> subnet_problem(const IpNet& subnet);
/// What speaks against this gateway of the subnet; it may lie outside.
[[nodiscard]] std::optional<std::string> gateway_problem(const IpNet& subnet,
                                                         const IpAddress& gateway);

/// A 48-bit hardware address.
struct Mac {
  std::array<std::uint8_t, 6> bytes{};

  /// Colons, dashes or Cisco dots: 0a:58:0a:00:00:01, 0a-58-..., 0a58.0a00.0001.
  [[nodiscard]] static std::optional<Mac> try_parse(std::string_view text);
  /// The same, and an address that an interface can have: unicast, not zero. Throws Error that
  /// names `where` the text is from.
  [[nodiscard]] static Mac parse_unicast(std::string_view text, std::string_view where);
  /// A random unicast, locally administered address. It never begins with fe.
  [[nodiscard]] static Mac random();
  /// The same, but it begins with fe: the highest there are. A bridge takes the lowest of its
  /// ports' for its own.
  [[nodiscard]] static Mac random_of_port();
  [[nodiscard]] std::string text() const;  // lower case, colons
  [[nodiscard]] bool is_zero() const noexcept { return *this == Mac{}; }

  friend auto operator<=>(const Mac&, const Mac&) noexcept = default;
};

}  // namespace cni
