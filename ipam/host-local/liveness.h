// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>

#include "lease.h"

namespace cni::host_local {

/// The first 16 hex digits of this boot's id; "" when it cannot be read.
[[nodiscard]] std::string current_boot();

/// What a lease made now for this network namespace is stamped with. A path that is no network
/// namespace counts as not known.
[[nodiscard]] Stamp current_stamp(const std::string& netns_path);

}  // namespace cni::host_local
