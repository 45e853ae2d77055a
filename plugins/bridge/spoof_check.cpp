// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "spoof_check.h"

#include <linux/if.h>
#include <linux/netfilter_bridge.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "nft/rule.h"
#include "nft/table.h"

namespace cni::nft::spoof_check {
namespace {

using netlink::Socket;

constexpr std::string_view kBaseChain = "prerouting", kChainPrefix = "mac-";
constexpr std::uint32_t kTypeIfname = 41;  // of nft(8)
constexpr Hook kPrerouting{"filter", NF_BR_PRE_ROUTING, -300};

VerdictMap map_of(std::string_view table) {
  return {{TableFamily::kBridge, std::string(table)}, "macspoof", kTypeIfname, IFNAMSIZ, true};
}

const VerdictMap& our_map() {
  static const VerdictMap map = map_of("cnipp");
  return map;
}

std::vector<std::uint8_t> key_of(const std::string& port) {
  std::vector<std::uint8_t> key(port.begin(), port.end());
  key.resize(IFNAMSIZ);
  return key;
}

std::string chain_of(const std::string& port) { return concat(kChainPrefix, port); }

void create_table(Transaction& transaction, const VerdictMap& map) {
  add_table(transaction, map.table);
  add_base_chain(transaction, map.table, kBaseChain, kPrerouting);
  add_map(transaction, map, 1);
  Rule::append(transaction, map.table.family, map.table.name, kBaseChain, map.name,
               [&](Rule& rule) { rule.load_input_name().lookup_verdict(map.name); });
}

void create_check(Transaction& transaction, const VerdictMap& map, const std::string& port,
                  const Mac& mac, std::string_view comment) {
  add_chain(transaction, map.table, chain_of(port));
  Rule::append(transaction, map.table.family, map.table.name, chain_of(port), mac.text(),
               [&](Rule& rule) { rule.match_other_source(mac).verdict(NF_DROP); });
  add_element(transaction, map, key_of(port), chain_of(port), comment);
}

/// What the last check leaves, in a table in which others of our features have chains, too.
void delete_shared(Transaction& transaction, const VerdictMap& map,
                   const std::vector<std::string>& present) {
  const bool others = std::ranges::any_of(present, [](const std::string& chain) {
    return chain != kBaseChain && !chain.starts_with(kChainPrefix);
  });
  if (!others) return delete_table(transaction, map.table);
  delete_chain(transaction, map.table, kBaseChain);
  delete_map(transaction, map);
}

/// In one transaction: the elements, their chains, and the table when nothing would be left.
void remove_ports(Socket& socket, const std::function<bool(const Element&)>& chosen) {
  const VerdictMap& map = our_map();
  optimistically("remove spoof checks", [&] {
    const std::uint32_t seen = generation(socket);
    const std::vector<Element> elements = list_elements(socket, map);
    Transaction transaction;
    std::size_t removed = 0;
    for (const Element& element : elements) {
      if (!chosen(element)) continue;
      delete_element(transaction, map, element.key);
      delete_chain(transaction, map.table, element.chain);
      ++removed;
    }
    if (removed == 0) return true;
    if (removed == elements.size()) delete_shared(transaction, map, list_chains(socket, map.table));
    const int error = transaction.try_commit(socket, seen);
    if (error != 0 && error != ENOENT && !is_transient(error)) transaction.fail();
    return error == 0;
  });
}

}  // namespace

void add(Socket& socket, const Owner& owner, const std::string& port, const Mac& mac) {
  const VerdictMap& map = our_map();
  bool table_missing = false;
  bool replace = false;
  optimistically("add a spoof check", [&] {
    Transaction transaction;
    if (table_missing) create_table(transaction, map);
    if (replace) {
      delete_element(transaction, map, key_of(port));
      delete_chain(transaction, map.table, chain_of(port));
    }
    create_check(transaction, map, port, mac, owner.label({}, kMaxComment));
    const int error = transaction.try_commit(socket);
    if (error == 0) return true;
    if (!is_transient(error) && error != ENOENT && error != EEXIST) transaction.fail();
    table_missing = !has_chain(socket, map.table, kBaseChain);
    replace = find_element(socket, map, key_of(port)).has_value();
    return false;
  });
}

void remove(Socket& socket, const std::string& port) {
  // A single look-up first: most networks have no spoof checks.
  if (!find_element(socket, our_map(), key_of(port))) return;
  const std::vector<std::uint8_t> key = key_of(port);
  remove_ports(socket, [&](const Element& element) { return element.key == key; });
}

void check(Socket& socket, const Owner& owner, const std::string& port, const Mac& mac) {
  const auto differs = [](std::string_view what) {
    throw Error(ErrorCode::kMismatch, concat("macspoofchk: ", what));
  };
  const VerdictMap& map = our_map();
  const auto base = list_rules(socket, map.table, kBaseChain);
  if (std::ranges::none_of(base, [&](const StoredRule& r) { return r.comment == map.name; })) {
    differs(concat("the rule ", quote(map.name), " of nf_tables chain bridge ", map.table.name, " ",
                   kBaseChain, " is missing"));
  }
  const auto element = find_element(socket, map, key_of(port));
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
  remove_ports(socket, [&](const Element& element) {
    return element.comment.starts_with(prefix) && !keep(element.tag());
  });
}

void probe(Socket& socket) {
  const VerdictMap map = map_of("cnipp-probe");
  Transaction transaction;
  create_table(transaction, map);
  create_check(transaction, map, "probe", Mac{}, "probe");
  // This one must fail, and takes everything before it back.
  delete_table(transaction, {TableFamily::kBridge, "cnipp-probe-end"});
  if (transaction.try_commit(socket) != ENOENT) transaction.fail();
}

}  // namespace cni::nft::spoof_check
