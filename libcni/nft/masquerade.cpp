// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/masquerade.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "nft/expr.h"

namespace cni::nft::masquerade {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Socket;

constexpr TableFamily kInet = TableFamily::kInet;
constexpr std::string_view kTable = "cnipp";
constexpr std::string_view kBaseChain = "postrouting";
constexpr std::size_t kHashDigits = 16;
constexpr int kMaxTries = 100;  // each try meets a different concurrent change
// Type numbers of nft(8), for its listings: ipv4_addr and ipv6_addr.
constexpr std::uint32_t kTypeIpv4 = 7, kTypeIpv6 = 8;
constexpr std::uint32_t kVerdictType = 0xffffff00;  // NFT_DATA_VERDICT

std::string_view map_name(Family family) { return family == Family::kV4 ? "masq4" : "masq6"; }
IpNet multicast(Family family) {
  return family == Family::kV4 ? IpNet::parse("224.0.0.0/4") : IpNet::parse("ff00::/8");
}

/// The part of an attachment that concerns one family.
struct Part {
  Family family;
  std::vector<IpAddress> addresses;
  std::vector<IpNet> own;  // sorted, without duplicates
  std::string chain;       // named after `own`
};

std::vector<Part> parts_of(const Addresses& addresses) {
  std::vector<Part> parts;
  for (const Family family : {Family::kV4, Family::kV6}) {
    Part part{family, {}, {}, {}};
    for (const IpNet& net : addresses) {
      if (net.family() != family) continue;
      part.addresses.push_back(net.address);
      part.own.push_back(net.network());
    }
    if (part.addresses.empty()) continue;
    std::ranges::sort(part.own);
    part.own.erase(std::unique(part.own.begin(), part.own.end()), part.own.end());
    std::string text;
    for (const IpNet& net : part.own) text += concat(net.text(), " ");
    part.chain = concat(map_name(family), "-", sha512_hex(text, kHashDigits));
    parts.push_back(std::move(part));
  }
  return parts;
}

std::vector<std::string> chain_rule_comments(const Part& part) {
  std::vector<std::string> out{"multicast"};
  for (const IpNet& net : part.own) out.push_back(concat("own subnet ", net.text()));
  out.emplace_back("everything else");
  return out;
}

// What the elements say.

struct Element {
  Family family;
  std::vector<std::uint8_t> key;
  std::string comment;
  std::string chain;

  [[nodiscard]] std::string_view tag() const {
    return std::string_view(comment).substr(0, comment.find_first_of(" ,"));
  }
  /// How many elements this owner has in both maps together ("n=2" in the comment).
  [[nodiscard]] std::size_t siblings() const {
    const auto at = comment.find(" n=");
    std::size_t n = 0;
    for (std::size_t i = at == comment.npos ? comment.size() : at + 3;
         i < comment.size() && comment[i] >= '0' && comment[i] <= '9'; ++i) {
      n = n * 10 + static_cast<std::size_t>(comment[i] - '0');
    }
    return n;
  }
};

void parse_elements(const nlmsghdr* header, Family family, std::vector<Element>& out) {
  Attributes(header, sizeof(nfgenmsg))
      .nested(NFTA_SET_ELEM_LIST_ELEMENTS)
      .for_each([&](const nlattr* item) {
        const Attributes element(item);
        const auto key = element.nested(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE);
        const Attributes verdict = element.nested(NFTA_SET_ELEM_DATA).nested(NFTA_DATA_VERDICT);
        out.push_back({family,
                       {key.begin(), key.end()},
                       comment_of(element.bytes(NFTA_SET_ELEM_USERDATA), kElementComment),
                       verdict.text(NFTA_VERDICT_CHAIN)});
      });
}

Message element_request(Family family, std::string what) {
  Message message = request(NFT_MSG_GETSETELEM, kInet, std::move(what));
  message.put_text(NFTA_SET_ELEM_LIST_TABLE, kTable);
  message.put_text(NFTA_SET_ELEM_LIST_SET, map_name(family));
  message.tolerate(ENOENT);
  return message;
}

std::optional<Element> find_element(Socket& socket, const IpAddress& address) {
  Message message =
      element_request(address.family(), concat("look up masquerading of ", address.text()));
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
    list.nest(NFTA_LIST_ELEM, [&](Message& element) {
      element.nest(NFTA_SET_ELEM_KEY,
                   [&](Message& key) { key.put_bytes(NFTA_DATA_VALUE, address.bytes()); });
    });
  });
  socket.transact(message);
  std::vector<Element> found;
  for (const std::string& reply : message.replies()) {
    const void* const bytes = reply.data();
    parse_elements(static_cast<const nlmsghdr*>(bytes), address.family(), found);
  }
  return found.empty() ? std::nullopt : std::optional<Element>(found.front());
}

std::vector<Element> list_elements(Socket& socket) {
  std::vector<Element> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    Message message = element_request(family, "list masqueraded addresses");
    const std::size_t before = out.size();
    socket.dump(
        message, [&] { out.resize(before); },
        [&](const nlmsghdr* header) { parse_elements(header, family, out); });
  }
  return out;
}

/// The comments of a chain's rules in order; nullopt when there is no such chain.
std::optional<std::vector<std::string>> rule_comments(Socket& socket, std::string_view chain) {
  Message get = request(NFT_MSG_GETCHAIN, kInet, concat("look up nf_tables chain ", chain));
  get.put_text(NFTA_CHAIN_TABLE, kTable).put_text(NFTA_CHAIN_NAME, chain).tolerate(ENOENT);
  socket.transact(get);
  if (get.error() != 0) return std::nullopt;
  Message list = request(NFT_MSG_GETRULE, kInet, concat("list rules of chain ", chain));
  list.put_text(NFTA_RULE_TABLE, kTable).put_text(NFTA_RULE_CHAIN, chain).tolerate(ENOENT);
  std::vector<std::string> out;
  socket.dump(
      list, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        const Attributes rule(header, sizeof(nfgenmsg));
        if (rule.text(NFTA_RULE_TABLE) != kTable || rule.text(NFTA_RULE_CHAIN) != chain) return;
        out.push_back(comment_of(rule.bytes(NFTA_RULE_USERDATA), kRuleComment));
      });
  return out;
}

std::vector<std::string> list_chains(Socket& socket) {
  Message message = request(NFT_MSG_GETCHAIN, kInet, "list nf_tables chains");
  message.tolerate(ENOENT);
  std::vector<std::string> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        const Attributes chain(header, sizeof(nfgenmsg));
        if (chain.text(NFTA_CHAIN_TABLE) == kTable) out.push_back(chain.text(NFTA_CHAIN_NAME));
      });
  return out;
}

// Commands.

void add_table(Transaction& transaction, std::string_view table) {
  transaction
      .add(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, kInet,
           concat("create nf_tables table inet ", table))
      .put_text(NFTA_TABLE_NAME, table);
  transaction
      .add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, kInet,
           concat("create nat chain ", table, " ", kBaseChain))
      .put_text(NFTA_CHAIN_TABLE, table)
      .put_text(NFTA_CHAIN_NAME, kBaseChain)
      .nest(NFTA_CHAIN_HOOK,
            [](Message& hook) {
              hook.put_be32(NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
              hook.put_be32(NFTA_HOOK_PRIORITY, NF_IP_PRI_NAT_SRC);
            })
      .put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT)
      .put_text(NFTA_CHAIN_TYPE, "nat");
  std::uint32_t id = 0;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const bool v4 = family == Family::kV4;
    transaction
        .add(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, kInet,
             concat("create nf_tables map ", table, " ", map_name(family)))
        .put_text(NFTA_SET_TABLE, table)
        .put_text(NFTA_SET_NAME, map_name(family))
        .put_be32(NFTA_SET_FLAGS, NFT_SET_MAP)
        .put_be32(NFTA_SET_KEY_TYPE, v4 ? kTypeIpv4 : kTypeIpv6)
        .put_be32(NFTA_SET_KEY_LEN, v4 ? 4 : 16)
        .put_be32(NFTA_SET_DATA_TYPE, kVerdictType)
        .put_be32(NFTA_SET_DATA_LEN, 16)
        .put_be32(NFTA_SET_ID, ++id);
    Rule::append(transaction, kInet, table, kBaseChain, map_name(family),
                 [&](Rule& rule) { rule.source_verdict_map(family, map_name(family)); });
  }
}

void add_chain(Transaction& transaction, std::string_view table, const Part& part) {
  transaction
      .add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, kInet,
           concat("create nf_tables chain ", table, " ", part.chain))
      .put_text(NFTA_CHAIN_TABLE, table)
      .put_text(NFTA_CHAIN_NAME, part.chain);
  const std::vector<std::string> comments = chain_rule_comments(part);
  std::size_t next = 0;
  Rule::append(transaction, kInet, table, part.chain, comments[next++], [&](Rule& rule) {
    rule.match_destination(multicast(part.family)).verdict(NFT_RETURN);
  });
  for (const IpNet& net : part.own) {
    Rule::append(transaction, kInet, table, part.chain, comments[next++],
                 [&](Rule& rule) { rule.match_destination(net).verdict(NFT_RETURN); });
  }
  Rule::append(transaction, kInet, table, part.chain, comments[next],
               [](Rule& rule) { rule.masquerade(); });
}

void change_element(Transaction& transaction, int type, unsigned flags, Family family,
                    std::span<const std::uint8_t> key, std::string_view chain,
                    std::string_view comment) {
  Message& message =
      transaction.add(type, flags, kInet,
                      concat(type == NFT_MSG_NEWSETELEM ? "add" : "remove", " masquerading of ",
                             IpAddress::from_bytes(family, key).text()));
  message.put_text(NFTA_SET_ELEM_LIST_TABLE, kTable);
  message.put_text(NFTA_SET_ELEM_LIST_SET, map_name(family));
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
    list.nest(NFTA_LIST_ELEM, [&](Message& element) {
      element.nest(NFTA_SET_ELEM_KEY, [&](Message& k) { k.put_bytes(NFTA_DATA_VALUE, key); });
      if (type != NFT_MSG_NEWSETELEM) return;
      put_verdict(element, NFTA_SET_ELEM_DATA, NFT_GOTO, chain);
      put_comment(element, NFTA_SET_ELEM_USERDATA, kElementComment, comment);
    });
  });
}

void delete_element(Transaction& transaction, const Element& element) {
  change_element(transaction, NFT_MSG_DELSETELEM, 0, element.family, element.key, {}, {});
}

/// What an ADD found missing so far.
struct Missing {
  bool table = false;
  std::map<std::string, bool> chains;
};

/// Looks after a refusal: what is there, and which elements stand in the way.
Missing survey(Socket& socket, const std::vector<Part>& parts) {
  Missing out;
  const std::vector<std::string> chains = list_chains(socket);
  out.table = chains.empty();
  for (const Part& part : parts) {
    out.chains[part.chain] = std::ranges::find(chains, part.chain) == chains.end();
  }
  return out;
}

[[noreturn]] void too_many_changes(std::string_view what) {
  throw Error(ErrorCode::kTryAgain, concat(what, ": the nf_tables ruleset changed at every one of ",
                                           kMaxTries, " attempts"));
}

bool may_retry(int error) { return error == ERESTART || error == EAGAIN || error == EINTR; }

/// Deletes elements that `choose` finds, in one transaction against an unchanged ruleset.
void delete_elements(Socket& socket, const std::function<std::vector<Element>()>& choose) {
  for (int tries = 0; tries < kMaxTries && !Deadline::passed(); ++tries) {
    const std::uint32_t seen = generation(socket);
    const std::vector<Element> elements = choose();
    if (elements.empty()) return;
    Transaction transaction;
    for (const Element& element : elements) delete_element(transaction, element);
    const int error = transaction.try_commit(socket, seen);
    if (error == 0) return;
    if (!may_retry(error) && error != ENOENT) transaction.fail();
  }
  too_many_changes("remove masquerading");
}

}  // namespace

void add(Socket& socket, const Owner& owner, const Addresses& addresses) {
  const std::vector<Part> parts = parts_of(addresses);
  const std::string comment = owner.label(concat("n=", addresses.size()), kMaxComment);
  Missing missing;  // the usual case first: only elements are
  std::vector<Element> stale;
  for (int tries = 0; tries < kMaxTries && !Deadline::passed(); ++tries) {
    Transaction transaction;
    if (missing.table) add_table(transaction, kTable);
    for (const Part& part : parts) {
      if (missing.chains[part.chain]) add_chain(transaction, kTable, part);
    }
    for (const Element& element : stale) delete_element(transaction, element);
    for (const Part& part : parts) {
      for (const IpAddress& address : part.addresses) {
        change_element(transaction, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, part.family,
                       address.bytes(), part.chain, comment);
      }
    }
    const int error = transaction.try_commit(socket);
    if (error == 0) return;
    if (!may_retry(error) && error != ENOENT && error != EEXIST) transaction.fail();
    missing = survey(socket, parts);
    stale.clear();
    if (missing.table) continue;
    for (const IpNet& net : addresses) {
      if (auto element = find_element(socket, net.address)) {
        if (element->tag() != owner.tag()) {
          log::warn(concat("masquerading of ", net.address.text(), " belonged to ",
                           quote(element->comment), ": replaced"));
        }
        stale.push_back(*std::move(element));
      }
    }
  }
  too_many_changes("add masquerading");
}

void remove(Socket& socket, const Owner& owner, const std::vector<IpAddress>& likely) {
  delete_elements(socket, [&] {
    std::vector<Element> own;
    for (const IpAddress& address : likely) {
      auto element = find_element(socket, address);
      if (element && element->tag() == owner.tag()) own.push_back(*std::move(element));
    }
    if (!own.empty() && own.size() == own.front().siblings()) return own;
    own = list_elements(socket);
    std::erase_if(own, [&](const Element& element) { return element.tag() != owner.tag(); });
    return own;
  });
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  delete_elements(socket, [&] {
    std::vector<Element> out = list_elements(socket);
    std::erase_if(out, [&](const Element& element) {
      return !element.comment.starts_with(prefix) || keep(element.tag());
    });
    return out;
  });
}

void check(Socket& socket, const Owner& owner, const Addresses& addresses) {
  const auto differs = [](std::string_view what) {
    throw Error(ErrorCode::kMismatch, concat("masquerading: ", what));
  };
  const auto base = rule_comments(socket, kBaseChain);
  for (const Part& part : parts_of(addresses)) {
    const std::string_view map = map_name(part.family);
    if (!base) differs(concat("nf_tables chain ", kTable, " ", kBaseChain, " is missing"));
    if (std::ranges::find(*base, map) == base->end()) {
      differs(concat("the rule ", quote(map), " in nf_tables chain ", kTable, " ", kBaseChain,
                     " is missing"));
    }
    for (const IpAddress& address : part.addresses) {
      const auto element = find_element(socket, address);
      if (!element) differs(concat(address.text(), " is not in nf_tables map ", kTable, " ", map));
      if (element->tag() != owner.tag()) {
        differs(concat(address.text(), " in nf_tables map ", kTable, " ", map, " belongs to ",
                       quote(element->comment)));
      }
      if (element->chain != part.chain) {
        differs(concat(address.text(), " in nf_tables map ", kTable, " ", map, " goes to chain ",
                       quote(element->chain), " instead of ", quote(part.chain)));
      }
    }
    const auto rules = rule_comments(socket, part.chain);
    if (!rules || *rules != chain_rule_comments(part)) {
      differs(concat("the rules of nf_tables chain ", kTable, " ", part.chain,
                     rules ? " were changed" : " are missing"));
    }
  }
}

void remove_unused(Socket& socket) {
  const std::vector<std::string> chains = list_chains(socket);
  bool only_base = !chains.empty();
  for (const std::string& chain : chains) {
    if (chain == kBaseChain) continue;
    if (!chain.starts_with("masq4-") && !chain.starts_with("masq6-")) {
      only_base = false;
      continue;
    }
    Transaction transaction;
    transaction.add(NFT_MSG_DELRULE, 0, kInet, concat("flush nf_tables chain ", chain))
        .put_text(NFTA_RULE_TABLE, kTable)
        .put_text(NFTA_RULE_CHAIN, chain);
    transaction.add(NFT_MSG_DELCHAIN, 0, kInet, concat("delete nf_tables chain ", chain))
        .put_text(NFTA_CHAIN_TABLE, kTable)
        .put_text(NFTA_CHAIN_NAME, chain);
    const int error = transaction.try_commit(socket);
    if (error == EBUSY) {
      only_base = false;  // an element refers to it: in use
    } else if (error != 0 && error != ENOENT) {
      transaction.fail();
    }
  }
  if (!only_base) return;
  const std::uint32_t seen = generation(socket);
  if (list_chains(socket).size() > 1 || !list_elements(socket).empty()) return;
  Transaction transaction;
  transaction.add(NFT_MSG_DELTABLE, 0, kInet, "delete nf_tables table inet cnipp")
      .put_text(NFTA_TABLE_NAME, kTable);
  const int error = transaction.try_commit(socket, seen);
  if (error != 0 && error != ENOENT && !may_retry(error)) transaction.fail();
}

void probe(Socket& socket) {
  constexpr std::string_view kProbe = "cnipp-probe";
  Transaction transaction;
  add_table(transaction, kProbe);
  for (const Part& part :
       parts_of({IpNet::parse("192.0.2.1/24"), IpNet::parse("2001:db8::1/64")})) {
    add_chain(transaction, kProbe, part);
  }
  // This one must fail, and takes everything before it back.
  transaction.add(NFT_MSG_DELTABLE, 0, kInet, "end of the probe")
      .put_text(NFTA_TABLE_NAME, "cnipp-probe-end");
  if (transaction.try_commit(socket) != ENOENT) transaction.fail();
}

}  // namespace cni::nft::masquerade
