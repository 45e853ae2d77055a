// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/owner.h"
#include "nft/table.h"

namespace cni::nft {

/// Which attachments use which shared chain: a map from a hash of the owner's tag to "goto chain".
/// No packet is looked up in it. The kernel counts the references, so that a shared chain cannot be
/// deleted while an attachment needs what it stands for, and DEL finds its entry by the owner
/// alone.
class Ledger {
 public:
  Ledger(Table table, std::string_view map);

  [[nodiscard]] const VerdictMap& map() const noexcept { return map_; }
  [[nodiscard]] std::optional<Element> find(netlink::Socket& socket, const Owner& owner) const;
  [[nodiscard]] std::vector<Element> list(netlink::Socket& socket) const;
  /// The owner's entry is for this chain, with `extra` in its comment.
  void put(netlink::Socket& socket, Transaction& transaction, const Owner& owner,
           std::string_view chain, std::string_view extra) const;

 private:
  VerdictMap map_;
};

/// The text behind `key` in an element's comment: "n=2" has 2 behind "n=".
[[nodiscard]] std::string_view value_in_comment(const Element& element, std::string_view key);

}  // namespace cni::nft
