// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"

namespace cni::host_local {

/// Addresses from lo to hi, both included.
struct Span {
  IpAddress lo;
  IpAddress hi;
  friend bool operator==(const Span&, const Span&) = default;
};

/// The addresses of a subnet that a host can have.
[[nodiscard]] Span hosts_of(const IpNet& subnet);

/// A range as it is written in a configuration.
struct RangeSpec {
  IpNet subnet;
  std::optional<IpAddress> start;
  std::optional<IpAddress> end;
  std::optional<IpAddress> gateway;
};

/// Addresses of one subnet, both ends included.
struct Range {
  IpNet subnet;
  IpAddress start;
  IpAddress end;
  IpAddress gateway;

  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
  /// "10.0.0.1-10.0.0.254"
  [[nodiscard]] std::string text() const;
  /// Fills in what is not given. Throws Error{kInvalidConfig}: too small, loopback or multicast,
  /// host bits set, start or end outside the subnet, a gateway that cannot be one.
  [[nodiscard]] static Range canonical(const RangeSpec& spec);
};

/// The alternatives from which an attachment gets one address. All of one family, disjoint.
class RangeSet {
 public:
  /// Throws Error{kInvalidConfig}: empty, mixed families, overlapping ranges.
  explicit RangeSet(std::vector<Range> ranges);

  [[nodiscard]] const std::vector<Range>& ranges() const noexcept { return ranges_; }
  [[nodiscard]] Family family() const noexcept { return ranges_.front().start.family(); }
  /// The range that holds the address, or nullptr.
  [[nodiscard]] const Range* find(const IpAddress& address) const noexcept;
  /// The range whose subnet has it among its hosts, or nullptr.
  [[nodiscard]] const Range* find_subnet(const IpAddress& address) const noexcept;
  /// The gateways of all ranges of the set are never handed out.
  [[nodiscard]] bool is_gateway(const IpAddress& address) const noexcept;
  /// What to search for a free address, in order: behind `last` to the end, then round to `last`
  /// itself; from the first range's start when `last` is not in the set.
  [[nodiscard]] std::vector<Span> search_order(const std::optional<IpAddress>& last) const;
  /// "10.0.0.1-10.0.0.9,10.0.1.1-10.0.1.9"; long sets are cut short.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Range> ranges_;
  std::vector<IpAddress> gateways_;  // sorted
};

/// Throws Error{kInvalidConfig} when two sets share an address.
void check_disjoint(const std::vector<RangeSet>& sets);

}  // namespace cni::host_local
