// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nft/transaction.h"

/// Tables, their chains and rules. Sets are in nft/set.h, what a rule says in nft/rule.h. All
/// functions act in the socket's namespace.
namespace cni::nft {

struct Table {
  TableFamily family;
  std::string name;

  /// "inet cnipp"
  [[nodiscard]] std::string text() const;
};

/// A chain that the kernel runs at one of its hooks.
struct BaseChain {
  Table table;
  std::string name;
  std::string type;        // "filter", "nat", "route"
  std::uint32_t hook = 0;  // NF_INET_FORWARD, ...
  bool drops = false;      // its policy
};

struct StoredRule {
  std::uint64_t handle = 0;
  std::string comment;
  std::string jump;  // the chain it jumps or goes to, by an immediate verdict
  std::vector<std::vector<std::uint8_t>> constants;  // that it compares with or loads
};

// Look-ups. What does not exist is empty, also when the whole table is missing.

/// Of every family.
[[nodiscard]] std::vector<Table> list_tables(netlink::Socket& socket);
[[nodiscard]] bool has_table(netlink::Socket& socket, const Table& table);
[[nodiscard]] std::vector<std::string> list_chains(netlink::Socket& socket, const Table& table);
[[nodiscard]] bool has_chain(netlink::Socket& socket, const Table& table, std::string_view chain);
/// How many rules and elements refer to the chain, its own rules included.
[[nodiscard]] std::optional<std::uint32_t> find_chain_use(netlink::Socket& socket,
                                                          const Table& table,
                                                          std::string_view chain);
/// Of every table. Reads the chains that are at no hook, too: many on a node with many services.
[[nodiscard]] std::vector<BaseChain> list_base_chains(netlink::Socket& socket);
/// nullopt also when the chain is at no hook, or the table is missing.
[[nodiscard]] std::optional<BaseChain> find_base_chain(netlink::Socket& socket, const Table& table,
                                                       std::string_view name);
[[nodiscard]] std::vector<StoredRule> list_rules(netlink::Socket& socket, const Table& table,
                                                 std::string_view chain);

// Commands. Creations fail with EEXIST, removals with ENOENT.

/// Several of us keep their objects in one table: that it exists is no failure.
void add_table(Transaction& transaction, const Table& table);
/// The same, and a table that somebody made dormant works again.
void wake_table(Transaction& transaction, const Table& table);
void delete_table(Transaction& transaction, const Table& table);
/// A chain bound to a hook of the kernel (NF_*_PRE_ROUTING ...) that accepts at its end.
struct Hook {
  std::string_view type;  // "nat", "filter"
  std::uint32_t number = 0;
  std::int32_t priority = 0;
};
void add_base_chain(Transaction& transaction, const Table& table, std::string_view chain,
                    const Hook& hook);
void add_chain(Transaction& transaction, const Table& table, std::string_view chain);
void flush_chain(Transaction& transaction, const Table& table, std::string_view chain);
/// Flushes it first. EBUSY while something refers to it.
void delete_chain(Transaction& transaction, const Table& table, std::string_view chain);
void delete_rule(Transaction& transaction, const Table& table, std::string_view chain,
                 std::uint64_t handle);

}  // namespace cni::nft
