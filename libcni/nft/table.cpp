// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/table.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "model/owner.h"
#include "nft/rule.h"

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Socket;

constexpr std::string_view kTurns = "nftables";  // the lock of those who have met many changes
constexpr int kTriesOutOfTurn = 8;
constexpr int kMaxTries = 1000;                     // each meets a different concurrent change
constexpr std::uint32_t kVerdictType = 0xffffff00;  // NFT_DATA_VERDICT
constexpr std::uint32_t kVerdictBytes = 16;

void parse_elements(const nlmsghdr* header, std::vector<Element>& out) {
  Attributes(header, sizeof(nfgenmsg))
      .nested(NFTA_SET_ELEM_LIST_ELEMENTS)
      .for_each([&](const nlattr* item) {
        const Attributes element(item);
        const auto key = element.nested(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE);
        const Attributes verdict = element.nested(NFTA_SET_ELEM_DATA).nested(NFTA_DATA_VERDICT);
        out.push_back({{key.begin(), key.end()},
                       comment_of(element.bytes(NFTA_SET_ELEM_USERDATA), kElementComment),
                       verdict.text(NFTA_VERDICT_CHAIN),
                       static_cast<int>(verdict.be32(NFTA_VERDICT_CODE))});
      });
}

Message elements_request(const VerdictMap& map, std::string what) {
  Message message = request(NFT_MSG_GETSETELEM, map.table.family, std::move(what));
  message.put_text(NFTA_SET_ELEM_LIST_TABLE, map.table.name);
  message.put_text(NFTA_SET_ELEM_LIST_SET, map.name);
  message.tolerate(ENOENT);
  return message;
}

template <typename F>
void put_one_element(Message& message, std::span<const std::uint8_t> key, F&& more) {
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
    list.nest(NFTA_LIST_ELEM, [&](Message& element) {
      element.nest(NFTA_SET_ELEM_KEY, [&](Message& k) { k.put_bytes(NFTA_DATA_VALUE, key); });
      more(element);
    });
  });
}

std::string full_name(const Table& table, std::string_view object) {
  return concat(table.name, " ", object);
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

std::string_view Element::tag() const noexcept { return Owner::tag_of(comment); }

std::optional<Element> find_element(Socket& socket, const VerdictMap& map,
                                    std::span<const std::uint8_t> key) {
  Message message = elements_request(
      map, concat("look up an element of nf_tables map ", full_name(map.table, map.name)));
  put_one_element(message, key, [](Message&) {});
  socket.transact(message);
  std::vector<Element> found;
  for (const std::string& reply : message.replies()) {
    const void* const bytes = reply.data();
    parse_elements(static_cast<const nlmsghdr*>(bytes), found);
  }
  return found.empty() ? std::nullopt : std::optional<Element>(found.front());
}

std::vector<Element> list_elements(Socket& socket, const VerdictMap& map) {
  Message message =
      elements_request(map, concat("list nf_tables map ", full_name(map.table, map.name)));
  std::vector<Element> out;
  socket.dump(
      message, [&] { out.clear(); }, [&](const nlmsghdr* header) { parse_elements(header, out); });
  return out;
}

std::vector<std::string> list_chains(Socket& socket, const Table& table) {
  Message message =
      request(NFT_MSG_GETCHAIN, table.family, concat("list nf_tables chains of ", table.name));
  message.tolerate(ENOENT);
  std::vector<std::string> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        const Attributes chain(header, sizeof(nfgenmsg));
        if (chain.text(NFTA_CHAIN_TABLE) == table.name) out.push_back(chain.text(NFTA_CHAIN_NAME));
      });
  return out;
}

bool has_table(Socket& socket, const Table& table) {
  Message message =
      request(NFT_MSG_GETTABLE, table.family, concat("look up nf_tables table ", table.name));
  message.put_text(NFTA_TABLE_NAME, table.name);
  message.tolerate(ENOENT);
  socket.transact(message);
  return message.error() == 0;
}

bool has_chain(Socket& socket, const Table& table, std::string_view chain) {
  Message message = request(NFT_MSG_GETCHAIN, table.family,
                            concat("look up nf_tables chain ", full_name(table, chain)));
  message.put_text(NFTA_CHAIN_TABLE, table.name).put_text(NFTA_CHAIN_NAME, chain);
  message.tolerate(ENOENT);
  socket.transact(message);
  return message.error() == 0;
}

std::vector<StoredRule> list_rules(Socket& socket, const Table& table, std::string_view chain) {
  Message message = request(NFT_MSG_GETRULE, table.family,
                            concat("list rules of chain ", full_name(table, chain)));
  message.put_text(NFTA_RULE_TABLE, table.name).put_text(NFTA_RULE_CHAIN, chain);
  message.tolerate(ENOENT);
  std::vector<StoredRule> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        const Attributes rule(header, sizeof(nfgenmsg));
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
           concat("create nf_tables table ", table.name))
      .put_text(NFTA_TABLE_NAME, table.name);
}

void delete_table(Transaction& transaction, const Table& table) {
  transaction.add(NFT_MSG_DELTABLE, 0, table.family, concat("delete nf_tables table ", table.name))
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

void add_map(Transaction& transaction, const VerdictMap& map, std::uint32_t id) {
  Message& message =
      transaction.add(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, map.table.family,
                      concat("create nf_tables map ", full_name(map.table, map.name)));
  message.put_text(NFTA_SET_TABLE, map.table.name)
      .put_text(NFTA_SET_NAME, map.name)
      .put_be32(NFTA_SET_FLAGS, NFT_SET_MAP)
      .put_be32(NFTA_SET_KEY_TYPE, map.key_type)
      .put_be32(NFTA_SET_KEY_LEN, map.key_bytes)
      .put_be32(NFTA_SET_DATA_TYPE, kVerdictType)
      .put_be32(NFTA_SET_DATA_LEN, kVerdictBytes)
      .put_be32(NFTA_SET_ID, id);
  if (!map.key_is_text) return;
  // libnftnl: NFTNL_UDATA_SET_KEYBYTEORDER = 0, four bytes, 1: host byte order.
  std::array<std::uint8_t, 6> userdata{0, 4};
  const std::uint32_t host_order = 1;
  std::memcpy(userdata.data() + 2, &host_order, sizeof host_order);
  message.put_bytes(NFTA_SET_USERDATA, userdata);
}

void delete_map(Transaction& transaction, const VerdictMap& map) {
  transaction
      .add(NFT_MSG_DELSET, 0, map.table.family,
           concat("delete nf_tables map ", full_name(map.table, map.name)))
      .put_text(NFTA_SET_TABLE, map.table.name)
      .put_text(NFTA_SET_NAME, map.name);
}

void add_element(Transaction& transaction, const VerdictMap& map, std::span<const std::uint8_t> key,
                 std::string_view chain, std::string_view comment) {
  add_element(transaction, map, key, NFT_GOTO, chain, comment);
}

void add_element(Transaction& transaction, const VerdictMap& map, std::span<const std::uint8_t> key,
                 int verdict, std::string_view chain, std::string_view comment) {
  Message& message =
      transaction.add(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, map.table.family,
                      concat("add an element to nf_tables map ", full_name(map.table, map.name)));
  message.put_text(NFTA_SET_ELEM_LIST_TABLE, map.table.name);
  message.put_text(NFTA_SET_ELEM_LIST_SET, map.name);
  put_one_element(message, key, [&](Message& element) {
    put_verdict(element, NFTA_SET_ELEM_DATA, verdict, chain);
    if (!comment.empty()) {
      put_comment(element, NFTA_SET_ELEM_USERDATA, kElementComment, comment);
    }
  });
}

void delete_element(Transaction& transaction, const VerdictMap& map,
                    std::span<const std::uint8_t> key) {
  Message& message = transaction.add(
      NFT_MSG_DELSETELEM, 0, map.table.family,
      concat("remove an element of nf_tables map ", full_name(map.table, map.name)));
  message.put_text(NFTA_SET_ELEM_LIST_TABLE, map.table.name);
  message.put_text(NFTA_SET_ELEM_LIST_SET, map.name);
  put_one_element(message, key, [](Message&) {});
}

bool is_transient(int error_number) noexcept {
  return error_number == ERESTART || error_number == EAGAIN || error_number == EINTR;
}

void optimistically(std::string_view what, const std::function<bool()>& attempt) {
  std::optional<FileLock> turn;
  if (FileLock::is_held(kTurns)) turn = FileLock::of_suite(kTurns);
  int tries = 1;
  for (; !attempt(); ++tries) {
    if (tries == kMaxTries || Deadline::passed()) {
      throw Error(ErrorCode::kTryAgain,
                  concat(what, ": the nf_tables ruleset changed at each of ", tries, " attempts"));
    }
    if (tries == kTriesOutOfTurn && !turn) turn = FileLock::of_suite(kTurns);
  }
}

}  // namespace cni::nft
