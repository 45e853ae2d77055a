// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conditions.h"
#include "model/port_mapping.h"
#include "ports.h"
#include "protocol/request.h"

namespace cni::portmap {

inline constexpr std::string_view kDefaultBackend = "nftables";

/// The keys of the configuration; docs/plugins/portmap.md describes them.
struct Config {
  std::string_view backend = kDefaultBackend;
  bool snat = true;
  bool masq_all = false;
  unsigned mark_masq_bit = 13;
  std::string external_set_mark_chain;                    // empty: our own
  std::vector<std::string> conditions_v4, conditions_v6;  // as written
  std::vector<PortMapping> mappings;

  /// Throws Error{kInvalidConfig}.
  [[nodiscard]] static Config parse(const Request& request);
  /// The mappings that can be read, for DEL and GC: never throws over what ADD would refuse.
  [[nodiscard]] static Config parse_leniently(const Request& request);

  [[nodiscard]] Snat nft_snat() const noexcept;
  /// As the nftables backend says them; none with another one.
  [[nodiscard]] const std::vector<Condition>& nft_conditions(Family family) const noexcept;
  /// The mappings that serve the family and meet the conditions on ports.
  [[nodiscard]] std::vector<PortMapping> published(Family family) const;

 private:
  Conditions nft_v4_, nft_v6_;
};

/// The mappings that serve the family, without repetitions; an unspecified hostIP is none.
[[nodiscard]] std::vector<PortMapping> mappings_of(const std::vector<PortMapping>& mappings,
                                                   Family family);

}  // namespace cni::portmap
