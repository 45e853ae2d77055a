// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/ensure.h"

#include <algorithm>

#include "base/concat.h"
#include "nft/difference.h"

namespace cni::nft {
namespace {

using netlink::Socket;

/// The command that the creation functions made last, without its demand that nothing be there.
void tolerate_existing(Transaction& transaction) {
  transaction.back().raw()->nlmsg_flags &= static_cast<std::uint16_t>(~NLM_F_EXCL);
}

}  // namespace

void ensure_chain(Transaction& transaction, const Table& table, std::string_view chain) {
  add_chain(transaction, table, chain);
  tolerate_existing(transaction);
}

void ensure_base_chain(Transaction& transaction, const Table& table, std::string_view chain,
                       const Hook& hook) {
  add_base_chain(transaction, table, chain, hook);
  tolerate_existing(transaction);
}

void ensure_set(Transaction& transaction, const Set& set, std::uint32_t id) {
  add_set(transaction, set, id);
  tolerate_existing(transaction);
}

void ensure_element(Socket& socket, Transaction& transaction, const Set& set,
                    const SetElement& element) {
  const auto found = find_element(socket, set, element.key);
  if (found && *found == element) return;
  if (found) delete_element(transaction, set, element.key);
  add_element(transaction, set, element);
}

void add_rules(Transaction& transaction, const Table& table, std::string_view chain,
               const std::vector<NamedRule>& rules) {
  for (const NamedRule& rule : rules) {
    Rule::append(transaction, table.family, table.name, chain, rule.comment, rule.fill);
  }
}

void ensure_rules(Socket& socket, Transaction& transaction, const Table& table,
                  std::string_view chain, const std::vector<NamedRule>& rules) {
  Transaction wanted;
  add_rules(wanted, table, chain, rules);
  if (!find_difference(socket, wanted)) return;
  flush_chain(transaction, table, chain);
  add_rules(transaction, table, chain, rules);
}

void delete_parts(Socket& socket, Transaction& transaction, const Table& table,
                  const IsPart& is_part) {
  const std::vector<std::string> chains = list_chains(socket, table);
  const std::vector<std::string> sets = list_sets(socket, table);
  if (std::ranges::none_of(chains, is_part) && std::ranges::none_of(sets, is_part)) return;
  if (std::ranges::all_of(chains, is_part) && std::ranges::all_of(sets, is_part)) {
    return delete_table(transaction, table);
  }
  // Rules refer to sets and chains, elements to chains.
  for (const std::string& chain : chains) {
    if (is_part(chain)) flush_chain(transaction, table, chain);
  }
  for (const std::string& set : sets) {
    if (is_part(set)) delete_set(transaction, {table, set, {}, {}});
  }
  for (const std::string& chain : chains) {
    if (is_part(chain)) delete_chain(transaction, table, chain);
  }
}

void remove_parts(Socket& socket, const Table& table, const IsPart& is_part,
                  const std::function<bool()>& unused) {
  change_unless_busy(socket, concat("remove what is shared in nf_tables table ", table.text()),
                     [&](Transaction& transaction) {
                       if (!has_table(socket, table) || !unused()) return;
                       delete_parts(socket, transaction, table, is_part);
                     });
}

}  // namespace cni::nft
