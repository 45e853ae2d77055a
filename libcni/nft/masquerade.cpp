// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/masquerade.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "nft/ensure.h"

namespace cni::nft::masquerade {
namespace {

using netlink::Socket;

constexpr std::string_view kTableName = "cnipp";
constexpr std::string_view kBaseChain = "postrouting";
constexpr std::size_t kHashDigits = 16;
constexpr Hook kPostrouting{"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC};

Table table_named(std::string_view name) { return {TableFamily::kInet, std::string(name)}; }

Bytes key_of(const IpAddress& address) { return {address.bytes().begin(), address.bytes().end()}; }

Set map_of(const Table& table, Family family) {
  if (family == Family::kV4) return {table, "masq4", kIpv4Type, kVerdictType};
  return {table, "masq6", kIpv6Type, kVerdictType};
}

/// The part of an attachment that concerns one family.
struct Part {
  Family family;
  Set map;
  std::vector<IpAddress> addresses;
  std::vector<IpNet> own;  // sorted, without duplicates
  std::string chain;       // named after `own`
};

std::vector<Part> parts_of(const Table& table, const Addresses& addresses) {
  std::vector<Part> parts;
  for (const Family family : {Family::kV4, Family::kV6}) {
    Part part{family, map_of(table, family), {}, {}, {}};
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
    part.chain = concat(part.map.name, "-", sha512_hex(text, kHashDigits));
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

/// How many elements this owner has in both maps together ("n=2" in the comment).
std::size_t siblings(const SetElement& element) {
  const std::string_view text = field_of(element.comment, "n=");
  std::size_t n = 0;
  std::from_chars(text.begin(), text.end(), n);
  return n;
}

void create_table(Transaction& transaction, const Table& table) {
  add_table(transaction, table);
  add_base_chain(transaction, table, kBaseChain, kPostrouting);
  std::uint32_t id = 0;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const Set map = map_of(table, family);
    add_set(transaction, map, ++id);
    Rule::append(transaction, table.family, table.name, kBaseChain, map.name,
                 [&](Rule& rule) { rule.source_verdict_map(family, map.name); });
  }
}

void create_chain(Transaction& transaction, const Part& part) {
  const Table& table = part.map.table;
  add_chain(transaction, table, part.chain);
  const std::vector<std::string> comments = chain_rule_comments(part);
  std::size_t next = 0;
  const auto append = [&](auto&& fill) {
    Rule::append(transaction, table.family, table.name, part.chain, comments[next++], fill);
  };
  const auto* multicast = part.family == Family::kV4 ? "224.0.0.0/4" : "ff00::/8";
  append([&](Rule& rule) { rule.match_destination(IpNet::parse(multicast)).verdict(NFT_RETURN); });
  for (const IpNet& net : part.own) {
    append([&](Rule& rule) { rule.match_destination(net).verdict(NFT_RETURN); });
  }
  append([](Rule& rule) { rule.masquerade(); });
}

/// masq4-<hash>, masq6-<hash>
bool is_shared_chain(std::string_view chain) {
  return chain.starts_with("masq4-") || chain.starts_with("masq6-");
}

/// An element that was found, with its map.
struct Found {
  Set map;
  SetElement element;
};

std::vector<Found> list_all(Socket& socket) {
  std::vector<Found> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const Set map = map_of(table_named(kTableName), family);
    for (SetElement& element : list_elements(socket, map)) out.push_back({map, std::move(element)});
  }
  return out;
}

std::optional<Found> find(Socket& socket, const IpAddress& address) {
  const Set map = map_of(table_named(kTableName), address.family());
  auto element = find_element(socket, map, key_of(address));
  if (!element) return std::nullopt;
  return Found{map, *std::move(element)};
}

/// Deletes the elements that `choose` finds.
void delete_chosen(Socket& socket, const std::function<std::vector<Found>()>& choose) {
  change(socket, "remove masquerading", [&](Transaction& transaction) {
    for (const Found& found : choose()) delete_element(transaction, found.map, found.element.key);
  });
}

/// What a refused ADD finds when it looks: what is missing, and which elements stand in the way.
struct Obstacles {
  bool table_missing = false;
  std::map<std::string, bool> chain_missing;
  std::vector<Found> stale;
};

Obstacles survey(Socket& socket, const Owner& owner, const std::vector<Part>& parts) {
  Obstacles out;
  const std::vector<std::string> chains = list_chains(socket, table_named(kTableName));
  // The table alone may be there: it is not only ours.
  out.table_missing = std::ranges::find(chains, kBaseChain) == chains.end();
  for (const Part& part : parts) {
    out.chain_missing[part.chain] = std::ranges::find(chains, part.chain) == chains.end();
    if (out.table_missing) continue;
    for (const IpAddress& address : part.addresses) {
      auto found = find(socket, address);
      if (!found) continue;
      if (found->element.tag() != owner.tag()) {
        log::warn(concat("masquerading of ", address.text(), " belonged to ",
                         quote(found->element.comment), ": replaced"));
      }
      out.stale.push_back(*std::move(found));
    }
  }
  return out;
}

}  // namespace

void add(Socket& socket, const Owner& owner, const Addresses& addresses) {
  const std::vector<Part> parts = parts_of(table_named(kTableName), addresses);
  const std::string comment = owner.label(concat("n=", addresses.size()), kMaxComment);
  const auto fill = [&](Transaction& transaction, Obstacles obstacles) {
    if (obstacles.table_missing) create_table(transaction, table_named(kTableName));
    for (const Part& part : parts) {
      if (obstacles.chain_missing[part.chain]) create_chain(transaction, part);
    }
    for (const Found& found : obstacles.stale) {
      delete_element(transaction, found.map, found.element.key);
    }
    for (const Part& part : parts) {
      for (const IpAddress& address : part.addresses) {
        add_element(transaction, part.map, {key_of(address), {}, part.chain, comment});
      }
    }
  };
  change(
      socket, "add masquerading",
      [&](Transaction& transaction) { fill(transaction, {}); },  // usually only elements are added
      [&](Transaction& transaction) { fill(transaction, survey(socket, owner, parts)); });
}

void remove(Socket& socket, const Owner& owner, const std::vector<IpAddress>& likely) {
  delete_chosen(socket, [&] {
    std::vector<Found> own;
    for (const IpAddress& address : likely) {
      auto found = find(socket, address);
      if (found && found->element.tag() == owner.tag()) own.push_back(*std::move(found));
    }
    if (!own.empty() && own.size() == siblings(own.front().element)) return own;
    own = list_all(socket);
    std::erase_if(own, [&](const Found& found) { return found.element.tag() != owner.tag(); });
    return own;
  });
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  delete_chosen(socket, [&] {
    std::vector<Found> out = list_all(socket);
    std::erase_if(out, [&](const Found& found) {
      return !found.element.comment.starts_with(prefix) || keep(found.element.tag());
    });
    return out;
  });
}

void check(Socket& socket, const Owner& owner, const Addresses& addresses) {
  const auto differs = [](std::string_view what) {
    throw Error(ErrorCode::kMismatch, concat("masquerading: ", what));
  };
  const Table table = table_named(kTableName);
  const std::vector<StoredRule> base = list_rules(socket, table, kBaseChain);
  for (const Part& part : parts_of(table, addresses)) {
    const bool looked_up = std::ranges::any_of(
        base, [&](const StoredRule& rule) { return rule.comment == part.map.name; });
    if (!looked_up) {
      differs(concat("the rule ", quote(part.map.name), " of nf_tables chain ", kTableName, " ",
                     kBaseChain, " is missing"));
    }
    for (const IpAddress& address : part.addresses) {
      const auto element = find_element(socket, part.map, key_of(address));
      const std::string place =
          concat(address.text(), " in nf_tables map ", kTableName, " ", part.map.name);
      if (!element) differs(concat(place, " is missing"));
      if (element->tag() != owner.tag()) {
        differs(concat(place, " belongs to ", quote(element->comment)));
      }
      if (element->chain != part.chain) {
        differs(concat(place, " goes to chain ", quote(element->chain), " instead of ",
                       quote(part.chain)));
      }
    }
    std::vector<std::string> comments;
    for (StoredRule& rule : list_rules(socket, table, part.chain)) {
      comments.push_back(std::move(rule.comment));
    }
    if (comments != chain_rule_comments(part)) {
      differs(concat("the rules of nf_tables chain ", kTableName, " ", part.chain,
                     comments.empty() ? " are missing" : " were changed"));
    }
  }
}

void remove_unused(Socket& socket) {
  const Table table = table_named(kTableName);
  for (const std::string& chain : list_chains(socket, table)) {
    if (!is_shared_chain(chain)) continue;
    change_unless_busy(socket, "remove masquerading that nobody uses",
                       [&](Transaction& transaction) {
                         if (has_chain(socket, table, chain))
                           delete_chain(transaction, table, chain);
                       });
  }
  const auto is_part = [](std::string_view name) {
    return name == kBaseChain || name == "masq4" || name == "masq6" || is_shared_chain(name);
  };
  remove_parts(socket, table, is_part, [&] {
    const std::vector<std::string> chains = list_chains(socket, table);
    return std::ranges::find(chains, kBaseChain) != chains.end() &&
           std::ranges::none_of(chains, is_shared_chain) && list_all(socket).empty();
  });
}

void probe(Socket& socket) {
  const Table table = table_named("cnipp-probe");
  Transaction transaction;
  create_table(transaction, table);
  for (const Part& part :
       parts_of(table, {IpNet::parse("192.0.2.1/24"), IpNet::parse("2001:db8::1/64")})) {
    create_chain(transaction, part);
  }
  rehearse(socket, std::move(transaction));
}

}  // namespace cni::nft::masquerade
