// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "config.h"
#include "store.h"

namespace cni::host_local {

/// One address from each range set, in their order, for the attachment. Either all of them or none:
/// what was reserved is released again when a later set fails. Leases that the attachment had
/// before are never touched, unless config.reclaim allows to free them as those of a dead one.
/// `netns`: as in Store::claim. Throws Error: kTryAgain when a set is exhausted, kConflict when a
/// requested address is in use or the attachment has an address already, kInvalidConfig for
/// requests that no set can serve.
[[nodiscard]] std::vector<IpConfig> allocate(Store& store, const Config& config,
                                             const Attachment& owner, const NetNsIdentity& netns);

/// Whether some address of the set could be handed out now. Changes nothing.
[[nodiscard]] bool has_room(Store& store, const RangeSet& set);

}  // namespace cni::host_local
