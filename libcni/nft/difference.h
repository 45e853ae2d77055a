// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "nft/transaction.h"

namespace cni::nft {

/// Compares the kernel's chains, sets and rules with a transaction that would create them: they are
/// there, hooked in at the same place, with the same rules in the same order and nothing else in
/// between. What the kernel adds to a description (handles, counters) does not matter, elements of
/// sets are not looked at. The first difference in words, or nullopt.
[[nodiscard]] std::optional<std::string> find_difference(netlink::Socket& socket,
                                                         const Transaction& creation);

}  // namespace cni::nft
