// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/difference.h"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "base/concat.h"
#include "netlink/reply.h"
#include "nft/table.h"

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Reply;
using netlink::Socket;

int command_of(const Message& message) { return NFNL_MSG_TYPE(message.raw()->nlmsg_type); }

TableFamily family_of(const Message& message) {
  return TableFamily{static_cast<const nfgenmsg*>(nlmsg_data(message.raw()))->nfgen_family};
}

Attributes attributes_of(const nlmsghdr* header) { return {header, sizeof(nfgenmsg)}; }

Attributes attributes_of(const std::string& reply) { return Reply(reply).attributes<nfgenmsg>(); }

std::vector<const nlattr*> of_type(const Attributes& attributes, int type) {
  std::vector<const nlattr*> out;
  attributes.for_each([&](const nlattr* a) {
    if (nla_type(a) == type) out.push_back(a);
  });
  return out;
}

bool covers(const Attributes& actual, const Attributes& wanted);

bool is_covered(const nlattr* actual, const nlattr* wanted) {
  if ((wanted->nla_type & NLA_F_NESTED) != 0) return covers(Attributes(actual), Attributes(wanted));
  const auto length = static_cast<std::size_t>(nla_len(wanted));
  return nla_len(actual) == nla_len(wanted) &&
         std::equal(static_cast<const char*>(nla_data(wanted)),
                    static_cast<const char*>(nla_data(wanted)) + length,
                    static_cast<const char*>(nla_data(actual)));
}

/// Every attribute that is wanted is there with the same content; lists have the same length.
bool covers(const Attributes& actual, const Attributes& wanted) {
  std::set<int> seen;
  bool same = true;
  wanted.for_each([&](const nlattr* a) {
    const int type = nla_type(a);
    if (!same || !seen.insert(type).second) return;
    same = std::ranges::equal(of_type(actual, type), of_type(wanted, type), is_covered);
  });
  return same;
}

/// The kernel's description of one object; "" when it does not exist.
std::string describe(Socket& socket, const Message& creation, int command, int table, int name) {
  const Attributes wanted = attributes_of(creation.raw());
  Message message =
      request(command, family_of(creation), concat("look up nf_tables object ", wanted.text(name)));
  message.put_text(table, wanted.text(table));
  if (name != table) message.put_text(name, wanted.text(name));
  message.tolerate(ENOENT);
  socket.transact(message);
  return message.replies().empty() ? std::string() : message.replies().front();
}

/// Set numbers mean something inside a transaction only.
bool set_is_covered(const Attributes& actual, const Attributes& wanted) {
  if (actual.be32(NFTA_SET_FLAGS) != wanted.be32(NFTA_SET_FLAGS)) return false;
  return std::ranges::all_of(std::initializer_list<int>{NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN,
                                                        NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN},
                             [&](int type) {
                               return std::ranges::equal(of_type(actual, type),
                                                         of_type(wanted, type), is_covered);
                             });
}

std::vector<std::string> list_raw_rules(Socket& socket, const Message& creation) {
  const Attributes wanted = attributes_of(creation.raw());
  const std::string table = wanted.text(NFTA_RULE_TABLE);
  const std::string chain = wanted.text(NFTA_RULE_CHAIN);
  Message message = request(NFT_MSG_GETRULE, family_of(creation),
                            concat("list rules of chain ", table, " ", chain));
  message.put_text(NFTA_RULE_TABLE, table).put_text(NFTA_RULE_CHAIN, chain);
  message.tolerate(ENOENT);
  std::vector<std::string> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        const Attributes rule = reply.attributes<nfgenmsg>();
        if (rule.text(NFTA_RULE_TABLE) != table || rule.text(NFTA_RULE_CHAIN) != chain) return;
        const void* const bytes = static_cast<const nlmsghdr*>(reply);
        out.emplace_back(static_cast<const char*>(bytes),
                         static_cast<const nlmsghdr*>(reply)->nlmsg_len);
      });
  return out;
}

std::string name_of(const Message& wanted, int table, int name) {
  const Attributes attributes = attributes_of(wanted.raw());
  return concat(Table{family_of(wanted), attributes.text(table)}.text(), " ",
                attributes.text(name));
}

std::optional<std::string> compare_table(Socket& socket, const Message& wanted) {
  const std::string name = attributes_of(wanted.raw()).text(NFTA_TABLE_NAME);
  const std::string found =
      describe(socket, wanted, NFT_MSG_GETTABLE, NFTA_TABLE_NAME, NFTA_TABLE_NAME);
  const std::string text = concat("nf_tables table ", Table{family_of(wanted), name}.text());
  if (found.empty()) return concat(text, " is missing");
  const std::uint32_t flags = attributes_of(found).be32(NFTA_TABLE_FLAGS);
  if ((flags & NFT_TABLE_F_DORMANT) != 0) return concat(text, " is dormant: nothing in it works");
  return std::nullopt;
}

std::optional<std::string> compare_chain(Socket& socket, const Message& wanted) {
  const std::string found =
      describe(socket, wanted, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME);
  const std::string name =
      concat("nf_tables chain ", name_of(wanted, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME));
  if (found.empty()) return concat(name, " is missing");
  if (!covers(attributes_of(found), attributes_of(wanted.raw()))) {
    return concat(name, " was changed");
  }
  return std::nullopt;
}

std::optional<std::string> compare_set(Socket& socket, const Message& wanted) {
  const std::string found = describe(socket, wanted, NFT_MSG_GETSET, NFTA_SET_TABLE, NFTA_SET_NAME);
  const std::string name = concat("nf_tables set ", name_of(wanted, NFTA_SET_TABLE, NFTA_SET_NAME));
  if (found.empty()) return concat(name, " is missing");
  if (!set_is_covered(attributes_of(found), attributes_of(wanted.raw()))) {
    return concat(name, " was changed");
  }
  return std::nullopt;
}

std::vector<Attributes> expressions_of(const Attributes& rule) {
  std::vector<Attributes> out;
  rule.nested(NFTA_RULE_EXPRESSIONS).for_each([&](const nlattr* item) { out.emplace_back(item); });
  return out;
}

/// The same prefix of an address, compared by a mask (as earlier versions wrote it) instead of by
/// fewer bytes: `actual` begins with payload, bitwise, cmp; `wanted` with payload, cmp.
bool is_masked(std::span<const Attributes> actual, std::span<const Attributes> wanted) {
  if (actual.size() < 3 || wanted.size() < 2) return false;
  const auto named = [](const Attributes& expression, std::string_view name) {
    return expression.text(NFTA_EXPR_NAME) == name;
  };
  const auto data = [](const Attributes& expression) { return expression.nested(NFTA_EXPR_DATA); };
  if (!named(actual[0], "payload") || !named(wanted[0], "payload")) return false;
  if (!named(actual[1], "bitwise") || !named(actual[2], "cmp") || !named(wanted[1], "cmp")) {
    return false;
  }
  const auto same = [&](int attribute, int place) {
    return data(actual[place == 0 ? 0 : 2]).be32(attribute) ==
           data(wanted[static_cast<std::size_t>(place)]).be32(attribute);
  };
  if (!same(NFTA_PAYLOAD_BASE, 0) || !same(NFTA_PAYLOAD_OFFSET, 0) || !same(NFTA_CMP_OP, 1)) {
    return false;
  }
  const auto mask = data(actual[1]).nested(NFTA_BITWISE_MASK).bytes(NFTA_DATA_VALUE);
  const auto value = data(actual[2]).nested(NFTA_CMP_DATA).bytes(NFTA_DATA_VALUE);
  const auto first = data(wanted[1]).nested(NFTA_CMP_DATA).bytes(NFTA_DATA_VALUE);
  if (mask.size() <= first.size() || value.size() != mask.size()) return false;
  return std::ranges::equal(value.first(first.size()), first) &&
         std::ranges::all_of(mask.first(first.size()), [](auto b) { return b == 0xff; }) &&
         std::ranges::all_of(mask.subspan(first.size()), [](auto b) { return b == 0; });
}

/// Whether a rule of the kernel's says what is wanted.
bool is_rule(const Attributes& actual, const Attributes& wanted) {
  if (comment_of(actual.bytes(NFTA_RULE_USERDATA), kRuleComment) !=
      comment_of(wanted.bytes(NFTA_RULE_USERDATA), kRuleComment)) {
    return false;
  }
  const std::vector<Attributes> is = expressions_of(actual), should = expressions_of(wanted);
  std::size_t at = 0;
  for (std::size_t i = 0; i < should.size(); ++i, ++at) {
    if (at < is.size() && covers(is[at], should[i])) continue;
    if (!is_masked(std::span(is).subspan(std::min(at, is.size())), std::span(should).subspan(i))) {
      return false;
    }
    at += 2;
    i += 1;
  }
  return at == is.size();
}

/// The rules of one chain.
std::optional<std::string> compare_rules(Socket& socket, const std::vector<const Message*>& rules,
                                         Others others) {
  const std::string where =
      concat("nf_tables chain ", name_of(*rules.front(), NFTA_RULE_TABLE, NFTA_RULE_CHAIN));
  const std::vector<std::string> actual = list_raw_rules(socket, *rules.front());
  std::size_t next = 0;
  for (const Message* const rule : rules) {
    const Attributes wanted = attributes_of(rule->raw());
    const auto is_it = [&](const std::string& other) {
      return is_rule(attributes_of(other), wanted);
    };
    if (others == Others::kAllowed) {
      while (next < actual.size() && !is_it(actual[next])) ++next;
    }
    if (next < actual.size() && is_it(actual[next++])) continue;
    const auto name = comment_of(wanted.bytes(NFTA_RULE_USERDATA), kRuleComment);
    return concat("rule ", quote(name), " of ", where, " is missing or was changed");
  }
  if (others == Others::kNone && actual.size() > rules.size()) {
    return concat(where, " has a rule that is not ours");
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_difference(Socket& socket, const Transaction& creation,
                                           Others others) {
  std::map<std::string, std::vector<const Message*>> rules;
  for (const Message& wanted : creation.commands()) {
    std::optional<std::string> difference;
    switch (command_of(wanted)) {
      case NFT_MSG_NEWTABLE:
        difference = compare_table(socket, wanted);
        break;
      case NFT_MSG_NEWCHAIN:
        difference = compare_chain(socket, wanted);
        break;
      case NFT_MSG_NEWSET:
        difference = compare_set(socket, wanted);
        break;
      case NFT_MSG_NEWRULE:
        rules[name_of(wanted, NFTA_RULE_TABLE, NFTA_RULE_CHAIN)].push_back(&wanted);
        break;
      default:
        break;
    }
    if (difference) return difference;
  }
  for (const auto& [chain, wanted] : rules) {
    if (auto difference = compare_rules(socket, wanted, others)) return difference;
  }
  return std::nullopt;
}

}  // namespace cni::nft
