// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/table.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>

#include "base/concat.h"
#include "netlink/reply.h"

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Reply;
using netlink::Socket;

TableFamily family_of(const Reply& reply) {
  return TableFamily{reply.header<nfgenmsg>().nfgen_family};
}

std::string full_name(const Table& table, std::string_view object) {
  return concat(table.text(), " ", object);
}

/// The kernel's description; "" when there is none.
std::string look_up_chain(Socket& socket, const Table& table, std::string_view chain) {
  Message message = request(NFT_MSG_GETCHAIN, table.family,
                            concat("look up nf_tables chain ", full_name(table, chain)));
  message.put_text(NFTA_CHAIN_TABLE, table.name).put_text(NFTA_CHAIN_NAME, chain);
  message.tolerate(ENOENT);
  socket.transact(message);
  return message.replies().empty() ? std::string() : message.replies().front();
}

/// nullopt for a chain that is at no hook.
std::optional<BaseChain> read_base_chain(const Reply& reply) {
  const Attributes chain = reply.attributes<nfgenmsg>();
  if (chain.find(NFTA_CHAIN_HOOK) == nullptr) return std::nullopt;
  return BaseChain{.table = {family_of(reply), chain.text(NFTA_CHAIN_TABLE)},
                   .name = chain.text(NFTA_CHAIN_NAME),
                   .type = chain.text(NFTA_CHAIN_TYPE),
                   .hook = chain.nested(NFTA_CHAIN_HOOK).be32(NFTA_HOOK_HOOKNUM),
                   .drops = chain.be32(NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP};
}

std::string jump_of(const Attributes& rule) {
  std::string chain;
  rule.nested(NFTA_RULE_EXPRESSIONS).for_each([&](const nlattr* item) {
    const Attributes expression(item);
    if (expression.text(NFTA_EXPR_NAME) != "immediate") return;
    chain = expression.nested(NFTA_EXPR_DATA)
                .nested(NFTA_IMMEDIATE_DATA)
                .nested(NFTA_DATA_VERDICT)
                .text(NFTA_VERDICT_CHAIN);
  });
  return chain;
}

std::vector<std::vector<std::uint8_t>> constants_of(const Attributes& rule) {
  std::vector<std::vector<std::uint8_t>> out;
  rule.nested(NFTA_RULE_EXPRESSIONS).for_each([&](const nlattr* item) {
    const Attributes expression(item);
    const Attributes data = expression.nested(NFTA_EXPR_DATA);
    const std::string name = expression.text(NFTA_EXPR_NAME);
    if (name != "immediate" && name != "cmp") return;
    const auto value = data.nested(name == "cmp" ? int{NFTA_CMP_DATA} : int{NFTA_IMMEDIATE_DATA})
                           .bytes(NFTA_DATA_VALUE);
    if (!value.empty()) out.emplace_back(value.begin(), value.end());
  });
  return out;
}

}  // namespace

std::string Table::text() const {
  return concat(family == TableFamily::kInet     ? "inet "
                : family == TableFamily::kBridge ? "bridge "
                : family == TableFamily::kIpv4   ? "ip "
                                                 : "ip6 ",
                name);
}

std::vector<Table> list_tables(Socket& socket) {
  Message message = request(NFT_MSG_GETTABLE, TableFamily{}, "list nf_tables tables");
  std::vector<Table> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        out.push_back({family_of(reply), reply.attributes<nfgenmsg>().text(NFTA_TABLE_NAME)});
      });
  return out;
}

std::vector<BaseChain> list_base_chains(Socket& socket) {
  Message message = request(NFT_MSG_GETCHAIN, TableFamily{}, "list nf_tables chains");
  std::vector<BaseChain> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        if (auto chain = read_base_chain(reply)) out.push_back(*std::move(chain));
      });
  return out;
}

std::optional<BaseChain> find_base_chain(Socket& socket, const Table& table,
                                         std::string_view name) {
  const std::string found = look_up_chain(socket, table, name);
  return found.empty() ? std::nullopt : read_base_chain(Reply(found));
}

std::vector<std::string> list_chains(Socket& socket, const Table& table) {
  Message message =
      request(NFT_MSG_GETCHAIN, table.family, concat("list nf_tables chains of ", table.text()));
  message.tolerate(ENOENT);
  std::vector<std::string> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        const Attributes chain = reply.attributes<nfgenmsg>();
        if (chain.text(NFTA_CHAIN_TABLE) == table.name) out.push_back(chain.text(NFTA_CHAIN_NAME));
      });
  return out;
}

bool has_table(Socket& socket, const Table& table) {
  Message message =
      request(NFT_MSG_GETTABLE, table.family, concat("look up nf_tables table ", table.text()));
  message.put_text(NFTA_TABLE_NAME, table.name);
  message.tolerate(ENOENT);
  socket.transact(message);
  return message.error() == 0;
}

bool has_chain(Socket& socket, const Table& table, std::string_view chain) {
  return !look_up_chain(socket, table, chain).empty();
}

std::optional<std::uint32_t> find_chain_use(Socket& socket, const Table& table,
                                            std::string_view chain) {
  const std::string found = look_up_chain(socket, table, chain);
  if (found.empty()) return std::nullopt;
  return Reply(found).attributes<nfgenmsg>().be32(NFTA_CHAIN_USE);
}

std::vector<StoredRule> list_rules(Socket& socket, const Table& table, std::string_view chain) {
  Message message = request(NFT_MSG_GETRULE, table.family,
                            concat("list rules of chain ", full_name(table, chain)));
  message.put_text(NFTA_RULE_TABLE, table.name).put_text(NFTA_RULE_CHAIN, chain);
  message.tolerate(ENOENT);
  std::vector<StoredRule> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        const Attributes rule = reply.attributes<nfgenmsg>();
        if (rule.text(NFTA_RULE_TABLE) != table.name || rule.text(NFTA_RULE_CHAIN) != chain) return;
        out.push_back({rule.be64(NFTA_RULE_HANDLE),
                       comment_of(rule.bytes(NFTA_RULE_USERDATA), kRuleComment), jump_of(rule),
                       constants_of(rule)});
      });
  return out;
}

void add_table(Transaction& transaction, const Table& table) {
  transaction
      .add(NFT_MSG_NEWTABLE, NLM_F_CREATE, table.family,
           concat("create nf_tables table ", table.text()))
      .put_text(NFTA_TABLE_NAME, table.name);
}

void wake_table(Transaction& transaction, const Table& table) {
  add_table(transaction, table);
  transaction.back().put_be32(NFTA_TABLE_FLAGS, 0);
}

void delete_table(Transaction& transaction, const Table& table) {
  transaction
      .add(NFT_MSG_DELTABLE, 0, table.family, concat("delete nf_tables table ", table.text()))
      .put_text(NFTA_TABLE_NAME, table.name);
}

void add_base_chain(Transaction& transaction, const Table& table, std::string_view chain,
                    const Hook& hook) {
  transaction
      .add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table.family,
           concat("create ", hook.type, " chain ", full_name(table, chain)))
      .put_text(NFTA_CHAIN_TABLE, table.name)
      .put_text(NFTA_CHAIN_NAME, chain)
      .nest(NFTA_CHAIN_HOOK,
            [&](Message& nested) {
              nested.put_be32(NFTA_HOOK_HOOKNUM, hook.number);
              nested.put_be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(hook.priority));
            })
      .put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT)
      .put_text(NFTA_CHAIN_TYPE, hook.type);
}

void add_chain(Transaction& transaction, const Table& table, std::string_view chain) {
  transaction
      .add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, table.family,
           concat("create nf_tables chain ", full_name(table, chain)))
      .put_text(NFTA_CHAIN_TABLE, table.name)
      .put_text(NFTA_CHAIN_NAME, chain);
}

void flush_chain(Transaction& transaction, const Table& table, std::string_view chain) {
  transaction
      .add(NFT_MSG_DELRULE, 0, table.family,
           concat("flush nf_tables chain ", full_name(table, chain)))
      .put_text(NFTA_RULE_TABLE, table.name)
      .put_text(NFTA_RULE_CHAIN, chain);
}

void delete_chain(Transaction& transaction, const Table& table, std::string_view chain) {
  flush_chain(transaction, table, chain);
  transaction
      .add(NFT_MSG_DELCHAIN, 0, table.family,
           concat("delete nf_tables chain ", full_name(table, chain)))
      .put_text(NFTA_CHAIN_TABLE, table.name)
      .put_text(NFTA_CHAIN_NAME, chain);
}

void delete_rule(Transaction& transaction, const Table& table, std::string_view chain,
                 std::uint64_t handle) {
  transaction
      .add(NFT_MSG_DELRULE, 0, table.family,
           concat("delete a rule of nf_tables chain ", full_name(table, chain)))
      .put_text(NFTA_RULE_TABLE, table.name)
      .put_text(NFTA_RULE_CHAIN, chain)
      .put_be64(NFTA_RULE_HANDLE, handle);
}

}  // namespace cni::nft
