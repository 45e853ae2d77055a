// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "nft/transaction.h"

namespace cni::nft {

/// Whether the chains of the wanted rules may hold others, too, before and between them.
enum class Others : unsigned char { kNone, kAllowed };

/// Compares the kernel's tables, chains, sets and rules with a transaction that would create them:
/// they are there and awake, hooked in at the same place, with the same rules in the same order.
/// What the kernel adds to a description (handles, counters) does not matter, elements of sets are
/// not looked at. The first difference in words, or nullopt.
[[nodiscard]] std::optional<std::string> find_difference(netlink::Socket& socket,
                                                         const Transaction& creation,
                                                         Others others = Others::kNone);

}  // namespace cni::nft
