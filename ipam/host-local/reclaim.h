// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "liveness.h"
#include "ranges.h"
#include "store.h"

namespace cni::host_local {

/// What a look at all leases has found.
struct Census {
  std::vector<Brief> leases;  // those that are left
  std::size_t freed = 0;
};

/// The lease, when its file too says that its attachment cannot exist any more.
[[nodiscard]] std::optional<Lease> find_dead(const Store& store, Liveness& liveness,
                                             const Brief& lease);

/// Frees the leases whose attachment cannot exist any more; says so in the log.
Census reclaim_dead(Store& store, Liveness& liveness);

/// For the error "no addresses": how many leases the set has, the oldest of them, how many look
/// dead, and the command that frees those.
[[nodiscard]] std::string describe_full(const RangeSet& set, const std::vector<Brief>& leases,
                                        Liveness& liveness, const Store& store);

/// "; N were freed just now" with the reason; "" for 0.
[[nodiscard]] std::string describe_freed(std::size_t count);

/// "container "abc" interface "eth0"", or what else the file is.
[[nodiscard]] std::string describe_owner(const Lease& lease);

}  // namespace cni::host_local
