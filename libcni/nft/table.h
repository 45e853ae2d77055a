// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nft/transaction.h"

/// Tables, chains and verdict maps of one of our tables: what masquerading and spoof checks share.
/// An element of a map sends the packets of one key to a chain; its comment begins with the tag of
/// the element's owner.
namespace cni::nft {

struct Table {
  TableFamily family;
  std::string name;
};

struct VerdictMap {
  Table table;
  std::string name;
  std::uint32_t key_type = 0;  // nft(8)'s number, for its listings
  std::uint32_t key_bytes = 0;
  bool key_is_text = false;  // for nft(8)'s listings: not a number in network byte order
};

struct Element {
  std::vector<std::uint8_t> key;
  std::string comment;
  std::string chain;  // empty: the verdict needs none
  int verdict = 0;    // NFT_GOTO, NF_DROP, ...

  /// The comment up to the first blank or comma.
  [[nodiscard]] std::string_view tag() const noexcept;
};

// Look-ups. What does not exist is empty, also when the whole table is missing.

[[nodiscard]] std::optional<Element> find_element(netlink::Socket& socket, const VerdictMap& map,
                                                  std::span<const std::uint8_t> key);
[[nodiscard]] std::vector<Element> list_elements(netlink::Socket& socket, const VerdictMap& map);
[[nodiscard]] std::vector<std::string> list_chains(netlink::Socket& socket, const Table& table);
[[nodiscard]] bool has_table(netlink::Socket& socket, const Table& table);
[[nodiscard]] bool has_chain(netlink::Socket& socket, const Table& table, std::string_view chain);

struct StoredRule {
  std::uint64_t handle = 0;
  std::string comment;
  std::string jump;  // the chain it jumps or goes to, by an immediate verdict
  std::vector<std::vector<std::uint8_t>> constants;  // that it compares with or loads
};
[[nodiscard]] std::vector<StoredRule> list_rules(netlink::Socket& socket, const Table& table,
                                                 std::string_view chain);

// Commands. Creations fail with EEXIST, removals with ENOENT.

/// Several of us keep their objects in one table: that it exists is no failure.
void add_table(Transaction& transaction, const Table& table);
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
void flush_chain(Transaction& transaction, const Table& table, std::string_view chain);
void delete_rule(Transaction& transaction, const Table& table, std::string_view chain,
                 std::uint64_t handle);
/// `id` distinguishes the maps of one transaction.
void add_map(Transaction& transaction, const VerdictMap& map, std::uint32_t id);
/// With its elements. EBUSY while a rule looks it up.
void delete_map(Transaction& transaction, const VerdictMap& map);
void add_element(Transaction& transaction, const VerdictMap& map, std::span<const std::uint8_t> key,
                 std::string_view chain, std::string_view comment);
/// With any verdict: NF_DROP ..., or NFT_GOTO with a chain.
void add_element(Transaction& transaction, const VerdictMap& map, std::span<const std::uint8_t> key,
                 int verdict, std::string_view chain, std::string_view comment);
void delete_element(Transaction& transaction, const VerdictMap& map,
                    std::span<const std::uint8_t> key);

/// Repeats `attempt` while somebody else's changes get in its way: it returns true when it is done.
/// After a few times it takes a lock, behind which the others of this suite then queue up before
/// their first attempt. Throws Error{kTryAgain} after 1,000 times or past the deadline.
void optimistically(std::string_view what, const std::function<bool()>& attempt);
/// The errno of a refusal that only says that the ruleset has changed meanwhile.
[[nodiscard]] bool is_transient(int error_number) noexcept;

}  // namespace cni::nft
