// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "nft/change.h"
#include "nft/rule.h"
#include "nft/set.h"
#include "nft/table.h"

/// Commands for objects that several attachments, or several features, share in a table: they
/// succeed when the object is there already.
namespace cni::nft {

void ensure_chain(Transaction& transaction, const Table& table, std::string_view chain);
/// Fails with EEXIST when a chain of this name is at another hook, or at none.
void ensure_base_chain(Transaction& transaction, const Table& table, std::string_view chain,
                       const Hook& hook);
/// Fails with EEXIST when a set of this name is of another type. `id` distinguishes the sets of one
/// transaction.
void ensure_set(Transaction& transaction, const Set& set, std::uint32_t id);
/// An element with another value or verdict is replaced.
void ensure_element(netlink::Socket& socket, Transaction& transaction, const Set& set,
                    const SetElement& element);

/// A rule and the comment that names it.
struct NamedRule {
  std::string comment;
  std::function<void(Rule&)> fill;
};
void add_rules(Transaction& transaction, const Table& table, std::string_view chain,
               const std::vector<NamedRule>& rules);
/// The chain holds these rules, word for word, and no other. Nothing is done when it does already.
void ensure_rules(netlink::Socket& socket, Transaction& transaction, const Table& table,
                  std::string_view chain, const std::vector<NamedRule>& rules);

/// Whether a chain or set of this name belongs to a feature.
using IsPart = std::function<bool(std::string_view name)>;
/// Deletes these chains and sets, with all that is in them, and the table when it holds no other.
void delete_parts(netlink::Socket& socket, Transaction& transaction, const Table& table,
                  const IsPart& is_part);
/// The same as a change of its own, if they are `unused` and nobody else refers to them.
void remove_parts(netlink::Socket& socket, const Table& table, const IsPart& is_part,
                  const std::function<bool()>& unused);

}  // namespace cni::nft
