// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "liveness.h"
#include "ranges.h"
#include "store.h"

namespace cni::host_local {

/// What a look at all leases has found.
struct Census {
  std::vector<Lease> leases;  // those that are left
  std::size_t freed = 0;
};

/// Frees the leases whose attachment cannot exist any more; says so in the log.
Census reclaim_dead(Store& store, Liveness& liveness);

/// For the error "no addresses": how many leases the set has, the oldest of them, how many look
/// dead, and the command that frees those.
[[nodiscard]] std::string describe_full(const RangeSet& set, const std::vector<Lease>& leases,
                                        Liveness& liveness, const std::string& network);

/// "; N were freed just now" with the reason; "" for 0.
[[nodiscard]] std::string describe_freed(std::size_t count);

/// "container "abc" interface "eth0"", or what else the file is.
[[nodiscard]] std::string describe_owner(const Lease& lease);

}  // namespace cni::host_local
