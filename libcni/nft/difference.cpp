// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/difference.h"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "base/concat.h"

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Socket;

int command_of(const Message& message) { return NFNL_MSG_TYPE(message.raw()->nlmsg_type); }

TableFamily family_of(const Message& message) {
  return TableFamily{static_cast<const nfgenmsg*>(nlmsg_data(message.raw()))->nfgen_family};
}

Attributes attributes_of(const nlmsghdr* header) { return {header, sizeof(nfgenmsg)}; }

Attributes attributes_of(const std::string& reply) {
  const void* const bytes = reply.data();
  return attributes_of(static_cast<const nlmsghdr*>(bytes));
}

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
  message.put_text(table, wanted.text(table)).put_text(name, wanted.text(name));
  message.tolerate(ENOENT);
  socket.transact(message);
  return message.replies().empty() ? std::string() : message.replies().front();
}

/// Set numbers mean something inside a transaction only.
bool set_is_covered(const Attributes& actual, const Attributes& wanted) {
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
      [&](const nlmsghdr* header) {
        const Attributes rule = attributes_of(header);
        if (rule.text(NFTA_RULE_TABLE) != table || rule.text(NFTA_RULE_CHAIN) != chain) return;
        const void* const bytes = header;
        out.emplace_back(static_cast<const char*>(bytes), header->nlmsg_len);
      });
  return out;
}

std::optional<std::string> compare_rules(Socket& socket, const std::vector<const Message*>& rules) {
  const Attributes first = attributes_of(rules.front()->raw());
  const std::string where =
      concat("nf_tables chain ", first.text(NFTA_RULE_TABLE), " ", first.text(NFTA_RULE_CHAIN));
  const std::vector<std::string> actual = list_raw_rules(socket, *rules.front());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Attributes wanted = attributes_of(rules[i]->raw());
    if (i < actual.size() && covers(attributes_of(actual[i]), wanted)) continue;
    const auto name = comment_of(wanted.bytes(NFTA_RULE_USERDATA), kRuleComment);
    return concat("rule ", quote(name), " of ", where, " is missing or was changed");
  }
  if (actual.size() > rules.size()) return concat(where, " has a rule that is not ours");
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_difference(Socket& socket, const Transaction& creation) {
  std::map<std::string, std::vector<const Message*>> rules;
  for (const Message& wanted : creation.commands()) {
    const Attributes attributes = attributes_of(wanted.raw());
    if (command_of(wanted) == NFT_MSG_NEWCHAIN) {
      const std::string found =
          describe(socket, wanted, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME);
      const std::string name = concat("nf_tables chain ", attributes.text(NFTA_CHAIN_TABLE), " ",
                                      attributes.text(NFTA_CHAIN_NAME));
      if (found.empty()) return concat(name, " is missing");
      if (!covers(attributes_of(found), attributes)) return concat(name, " was changed");
    } else if (command_of(wanted) == NFT_MSG_NEWSET) {
      const std::string found =
          describe(socket, wanted, NFT_MSG_GETSET, NFTA_SET_TABLE, NFTA_SET_NAME);
      const std::string name = concat("nf_tables set ", attributes.text(NFTA_SET_TABLE), " ",
                                      attributes.text(NFTA_SET_NAME));
      if (found.empty()) return concat(name, " is missing");
      if (!set_is_covered(attributes_of(found), attributes)) return concat(name, " was changed");
    } else if (command_of(wanted) == NFT_MSG_NEWRULE) {
      rules[attributes.text(NFTA_RULE_CHAIN)].push_back(&wanted);
    }
  }
  for (const auto& [chain, wanted] : rules) {
    if (auto difference = compare_rules(socket, wanted)) return difference;
  }
  return std::nullopt;
}

}  // namespace cni::nft
