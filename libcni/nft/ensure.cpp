// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/ensure.h"

#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>

#include "base/concat.h"

namespace cni::nft {
namespace {

using netlink::Message;
using netlink::Socket;

/// The command that the creation functions made last, without its demand that nothing be there.
void tolerate_existing(Transaction& transaction) {
  transaction.back().raw()->nlmsg_flags &= static_cast<std::uint16_t>(~NLM_F_EXCL);
}

std::vector<std::string> comments_of(Socket& socket, const Table& table, std::string_view chain) {
  std::vector<std::string> out;
  for (StoredRule& rule : list_rules(socket, table, chain)) out.push_back(std::move(rule.comment));
  return out;
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

void ensure_map(Transaction& transaction, const VerdictMap& map, std::uint32_t id) {
  add_map(transaction, map, id);
  tolerate_existing(transaction);
}

void ensure_element(Socket& socket, Transaction& transaction, const VerdictMap& map,
                    std::span<const std::uint8_t> key, int verdict, std::string_view chain,
                    std::string_view comment) {
  const auto found = find_element(socket, map, key);
  if (found && found->verdict == verdict && found->chain == chain && found->comment == comment) {
    return;
  }
  if (found) delete_element(transaction, map, key);
  add_element(transaction, map, key, verdict, chain, comment);
}

void ensure_rules(Socket& socket, Transaction& transaction, const Table& table,
                  std::string_view chain, const std::vector<NamedRule>& rules) {
  if (has_rules(socket, table, chain, rules)) return;
  flush_chain(transaction, table, chain);
  for (const NamedRule& rule : rules) {
    Rule::append(transaction, table.family, table.name, chain, rule.comment, rule.fill);
  }
}

bool has_rules(Socket& socket, const Table& table, std::string_view chain,
               const std::vector<NamedRule>& rules) {
  return std::ranges::equal(comments_of(socket, table, chain), rules, {}, {}, &NamedRule::comment);
}

std::vector<std::uint8_t> name_key(std::string_view name) {
  std::vector<std::uint8_t> key(name.begin(), name.end());
  key.resize(IFNAMSIZ);
  return key;
}

std::string name_of_key(std::span<const std::uint8_t> key) {
  return {key.begin(), std::ranges::find(key, 0)};
}

VerdictMap name_map(const Table& table, std::string_view name) {
  return {table, std::string(name), kTypeIfname, IFNAMSIZ, true};
}

void remove_parts(Socket& socket, const Table& table, const std::vector<std::string>& chains,
                  const std::vector<VerdictMap>& maps, const std::function<bool()>& still) {
  const std::uint32_t seen = generation(socket);
  const std::vector<std::string> present = list_chains(socket, table);
  const auto ours = [&](const std::string& chain) {
    return std::ranges::find(chains, chain) != chains.end();
  };
  if (std::ranges::none_of(present, ours) || !still()) return;
  Transaction transaction;
  if (std::ranges::all_of(present, ours)) {
    delete_table(transaction, table);
  } else {
    for (const std::string& chain : chains) {
      if (std::ranges::find(present, chain) != present.end()) {
        delete_chain(transaction, table, chain);
      }
    }
    for (const VerdictMap& map : maps) delete_map(transaction, map);
  }
  const int error = transaction.try_commit(socket, seen);
  if (error != 0 && error != ENOENT && error != EBUSY && !is_transient(error)) transaction.fail();
}

}  // namespace cni::nft
