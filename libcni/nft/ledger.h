// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "model/owner.h"
#include "nft/set.h"

namespace cni::nft {

/// Which attachments use which shared chain: a map from a hash of the owner's tag to "goto chain".
/// No packet is looked up in it. The kernel counts the references, so that a shared chain cannot be
/// deleted while an attachment needs what it stands for, and DEL finds its entry by the owner
/// alone.
class Ledger {
 public:
  Ledger(const Table& table, std::string_view map) : map_(name_map(table, map)) {}

  [[nodiscard]] const Set& map() const noexcept { return map_; }
  [[nodiscard]] std::optional<SetElement> find(netlink::Socket& socket, const Owner& owner) const;
  [[nodiscard]] std::vector<SetElement> list(netlink::Socket& socket) const;
  /// The owner's entry is for this chain, with `extra` in its comment.
  void put(netlink::Socket& socket, Transaction& transaction, const Owner& owner,
           std::string_view chain, std::string_view extra) const;

 private:
  Set map_;
};

/// The key of an owner in a map or set with keys of interface names: a hash of the tag.
[[nodiscard]] Bytes owner_key(std::string_view tag);

}  // namespace cni::nft
