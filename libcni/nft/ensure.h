// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "nft/rule.h"
#include "nft/table.h"

/// Commands for objects that several attachments, or several features, share in a table: they
/// succeed when the object is there already.
namespace cni::nft {

void ensure_chain(Transaction& transaction, const Table& table, std::string_view chain);
/// Fails with EEXIST when a chain of this name has another hook.
void ensure_base_chain(Transaction& transaction, const Table& table, std::string_view chain,
                       const Hook& hook);
/// `id` distinguishes the maps of one transaction.
void ensure_map(Transaction& transaction, const VerdictMap& map, std::uint32_t id);
/// NF_DROP ..., or NFT_GOTO with a chain. An element with another verdict is replaced.
void ensure_element(netlink::Socket& socket, Transaction& transaction, const VerdictMap& map,
                    std::span<const std::uint8_t> key, int verdict, std::string_view chain = {},
                    std::string_view comment = {});

/// A rule that is known by its comment.
struct NamedRule {
  std::string comment;
  std::function<void(Rule&)> fill;
};

/// The chain holds these rules and no other. Does nothing when the comments are the wanted ones.
void ensure_rules(netlink::Socket& socket, Transaction& transaction, const Table& table,
                  std::string_view chain, const std::vector<NamedRule>& rules);
[[nodiscard]] bool has_rules(netlink::Socket& socket, const Table& table, std::string_view chain,
                             const std::vector<NamedRule>& rules);

/// An interface's name as the key of a map, and back.
inline constexpr std::uint32_t kTypeIfname = 41;  // of nft(8)
[[nodiscard]] std::vector<std::uint8_t> name_key(std::string_view name);
[[nodiscard]] std::string name_of_key(std::span<const std::uint8_t> key);
[[nodiscard]] VerdictMap name_map(const Table& table, std::string_view name);

/// Deletes these chains and maps, and the table when it holds no other chain. `still` is asked
/// right before, against an unchanged ruleset.
void remove_parts(netlink::Socket& socket, const Table& table,
                  const std::vector<std::string>& chains, const std::vector<VerdictMap>& maps,
                  const std::function<bool()>& still);

}  // namespace cni::nft
