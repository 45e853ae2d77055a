// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>

#include "lease.h"

namespace cni::host_local {

/// The first 16 hex digits of this boot's id; "" when it cannot be read.
[[nodiscard]] std::string current_boot();

/// The inode number of the network namespace at this path; 0 when it is none.
[[nodiscard]] std::uint64_t netns_inode(const std::string& path) noexcept;

}  // namespace cni::host_local
