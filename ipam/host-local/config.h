// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "ranges.h"

namespace cni::host_local {

inline constexpr std::string_view kDefaultDataDir = "/var/lib/cni/networks";

/// When leases are freed whose attachment cannot exist any more ("reclaim").
enum class Reclaim { kNever, kOnExhaustion, kOnBoot };

/// The object "ipam" and what belongs to it elsewhere in the configuration.
struct Config {
  std::string data_dir{kDefaultDataDir};
  std::string resolv_conf;  // path, empty: none
  Reclaim reclaim = Reclaim::kOnExhaustion;
  std::vector<RangeSet> sets;        // the position is the N of last_reserved_ip.N
  std::vector<IpAddress> requested;  // each once
  bool outside_ranges = false;       // "requestsOutsideRanges": the subnets are enough for requests
  std::vector<Route> routes;

  /// The range of sets[i] that the address is from: the one that holds it; else, where that is
  /// allowed and no set holds it, one whose subnet has it. nullptr: none.
  [[nodiscard]] const Range* find_range(std::size_t i, const IpAddress& address) const noexcept;

  /// Everything, validated. `args` is CNI_ARGS. Throws Error{kInvalidConfig} naming the place.
  [[nodiscard]] static Config parse(const NetConf& conf, std::string_view args);
  /// Where the leases are, from a configuration that may be unusable otherwise. Never throws.
  [[nodiscard]] static std::string data_dir_of(const NetConf& conf) noexcept;
};

/// The text of a resolv.conf(5) as the reference reads it: all nameserver, search and options lines
/// add up, the last domain wins. Throws Error{kInvalidConfig} for a line over 64 KiB.
[[nodiscard]] Dns parse_resolv_conf(std::string_view text);

}  // namespace cni::host_local
