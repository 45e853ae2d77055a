// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "spoof_check.h"

#include <linux/netfilter_bridge.h>

#include <algorithm>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "nft/ensure.h"

namespace cni::nft::spoof_check {
namespace {

using netlink::Socket;

constexpr std::string_view kBaseChain = "prerouting", kChainPrefix = "mac-";
constexpr Hook kPrerouting{"filter", NF_BR_PRE_ROUTING, -300};

Set map_of(std::string_view table) {
  return name_map({TableFamily::kBridge, std::string(table)}, "macspoof");
}

const Set& our_map() {
  static const Set map = map_of("cnipp");
  return map;
}

std::string chain_of(const std::string& port) { return concat(kChainPrefix, port); }

void create_table(Transaction& transaction, const Set& map) {
  add_table(transaction, map.table);
  add_base_chain(transaction, map.table, kBaseChain, kPrerouting);
  add_set(transaction, map, 1);
  Rule::append(transaction, map.table.family, map.table.name, kBaseChain, map.name,
               [&](Rule& rule) { rule.load_input_name().lookup_verdict(map.name); });
}

void create_check(Transaction& transaction, const Set& map, const std::string& port, const Mac& mac,
                  std::string_view comment) {
  add_chain(transaction, map.table, chain_of(port));
  Rule::append(transaction, map.table.family, map.table.name, chain_of(port), mac.text(),
               [&](Rule& rule) { rule.match_other_source(mac).verdict(NF_DROP); });
  add_element(transaction, map, {name_key(port), {}, chain_of(port), std::string(comment)});
}

bool is_part(std::string_view name) {
  return name == kBaseChain || name == our_map().name || name.starts_with(kChainPrefix);
}

/// In one transaction: the elements, their chains, and the table when nothing would be left.
void remove_ports(Socket& socket, const std::function<bool(const SetElement&)>& chosen) {
  const Set& map = our_map();
  change(socket, "remove spoof checks", [&](Transaction& transaction) {
    const std::vector<SetElement> elements = list_elements(socket, map);
    std::size_t removed = 0;
    for (const SetElement& element : elements) {
      if (!chosen(element)) continue;
      delete_element(transaction, map, element.key);
      delete_chain(transaction, map.table, element.chain);
      ++removed;
    }
    if (removed == 0 || removed != elements.size()) return;
    transaction = {};
    delete_parts(socket, transaction, map.table, is_part);
  });
}

}  // namespace

void add(Socket& socket, const Owner& owner, const std::string& port, const Mac& mac) {
  const Set& map = our_map();
  const auto fill = [&](Transaction& transaction, bool table_missing, bool replace) {
    if (table_missing) create_table(transaction, map);
    if (replace) {
      delete_element(transaction, map, name_key(port));
      delete_chain(transaction, map.table, chain_of(port));
    }
    create_check(transaction, map, port, mac, owner.label({}, kMaxComment));
  };
  change(
      socket, "add a spoof check",
      [&](Transaction& transaction) { fill(transaction, false, false); },
      [&](Transaction& transaction) {
        fill(transaction, !has_chain(socket, map.table, kBaseChain),
             find_element(socket, map, name_key(port)).has_value());
      });
}

void remove(Socket& socket, const std::string& port) {
  // A single look-up first: most networks have no spoof checks.
  if (!find_element(socket, our_map(), name_key(port))) return;
  const Bytes key = name_key(port);
  remove_ports(socket, [&](const SetElement& element) { return element.key == key; });
}

void check(Socket& socket, const Owner& owner, const std::string& port, const Mac& mac) {
  const auto differs = [](std::string_view what) {
    throw Error(ErrorCode::kMismatch, concat("macspoofchk: ", what));
  };
  const Set& map = our_map();
  const auto base = list_rules(socket, map.table, kBaseChain);
  if (std::ranges::none_of(base, [&](const StoredRule& r) { return r.comment == map.name; })) {
    differs(concat("the rule ", quote(map.name), " of nf_tables chain bridge ", map.table.name, " ",
                   kBaseChain, " is missing"));
  }
  const auto element = find_element(socket, map, name_key(port));
  if (!element || element->tag() != owner.tag() || element->chain != chain_of(port)) {
    differs(concat(quote(port), " in nf_tables map bridge ", map.table.name, " ", map.name,
                   " is missing or not ours"));
  }
  const auto rules = list_rules(socket, map.table, chain_of(port));
  if (rules.size() != 1 || rules.front().comment != mac.text()) {
    differs(concat("nf_tables chain bridge ", map.table.name, " ", chain_of(port),
                   " does not hold the rule for ", mac.text()));
  }
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  remove_ports(socket, [&](const SetElement& element) {
    return element.comment.starts_with(prefix) && !keep(element.tag());
  });
}

void probe(Socket& socket) {
  const Set map = map_of("cnipp-probe");
  Transaction transaction;
  create_table(transaction, map);
  create_check(transaction, map, "probe", Mac{}, "probe");
  rehearse(socket, std::move(transaction));
}

}  // namespace cni::nft::spoof_check
