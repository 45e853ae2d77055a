// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "isolation.h"

#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>

#include <algorithm>
#include <iterator>

#include "base/concat.h"
#include "base/error.h"
#include "nft/difference.h"
#include "nft/ensure.h"
#include "nft/ledger.h"

namespace cni::firewall::isolation {
namespace {

using netlink::Socket;
using nft::change;
using nft::change_unless_busy;
using nft::field_of;
using nft::Hook;
using nft::kMaxComment;
using nft::Ledger;
using nft::name_key;
using nft::name_map;
using nft::name_of_key;
using nft::NamedRule;
using nft::Rule;
using nft::Set;
using nft::SetElement;
using nft::Table;
using nft::TableFamily;
using nft::Transaction;

constexpr std::string_view kForward = "forward", kAdmin = "admin", kIsolatedMap = "isolated";
constexpr Hook kInetHook{"filter", NF_INET_FORWARD, 0};
// Before br_netfilter, which takes IP packets round the hooks of its own priority, 0.
constexpr Hook kBridgeHook{"filter", NF_BR_FORWARD, NF_BR_PRI_FILTER_BRIDGED};

/// The names of everything, so that a probe can use other tables.
struct Names {
  Table inet, bridge;
  Set isolated, from_bridge, to_bridge, ports, gateways;
  Ledger ledger;

  explicit Names(std::string_view table)
      : inet{TableFamily::kInet, std::string(table)},
        bridge{TableFamily::kBridge, std::string(table)},
        isolated(name_map(inet, kIsolatedMap)),
        from_bridge(name_map(inet, "from-bridge")),
        to_bridge(name_map(inet, "to-bridge")),
        ports(name_map(bridge, kIsolatedMap)),
        gateways(name_map(bridge, "gateways")),
        ledger(inet, "ingress-policy") {}
};

const Names& ours() {
  static const Names names("cnipp");
  return names;
}

std::string isolated_chain(std::string_view link) { return concat("isolated-", link); }
std::string bridge_chain(std::string_view link) { return concat("bridge-", link); }

std::string chain_of(Policy policy, std::string_view link) {
  return policy == Policy::kIsolated ? isolated_chain(link) : bridge_chain(link);
}

std::string link_of_chain(std::string_view chain) {
  return std::string(chain.substr(std::min(chain.size(), chain.find('-') + 1)));
}

NamedRule admin_rule() {
  return {std::string(kAdmin), [](Rule& rule) { rule.verdict(NFT_JUMP, kAdmin); }};
}

NamedRule input_rule(const Set& map) {
  return {concat("from ", map.name),
          [name = map.name](Rule& rule) { rule.load_input_name().lookup_verdict(name); }};
}

NamedRule output_rule(const Set& map) {
  return {concat("to ", map.name),
          [name = map.name](Rule& rule) { rule.load_output_name().lookup_verdict(name); }};
}

std::vector<NamedRule> inet_rules(const Names& names) {
  return {admin_rule(), input_rule(names.isolated), input_rule(names.from_bridge)};
}

std::vector<NamedRule> port_rules(const Names& names) {
  return {admin_rule(), input_rule(names.gateways), output_rule(names.gateways),
          input_rule(names.ports), output_rule(names.ports)};
}

std::vector<NamedRule> bridge_rules(const Names& names, const std::string& link) {
  return {
      {concat("inside ", link),
       [link](Rule& rule) { rule.load_output_name().match_loaded_name(link).verdict(NFT_RETURN); }},
      output_rule(names.to_bridge)};
}

std::vector<NamedRule> isolated_rules(const std::string& link) {
  return {
      {concat("inside ", link),
       [link](Rule& rule) { rule.load_output_name().match_loaded_name(link).verdict(NF_DROP); }},
      {"elsewhere", [link](Rule& rule) { rule.verdict(NFT_GOTO, bridge_chain(link)); }}};
}

/// Without the rules: they are made or compared.
void ensure_inet(Transaction& transaction, const Names& names) {
  add_table(transaction, names.inet);
  ensure_chain(transaction, names.inet, kAdmin);
  ensure_base_chain(transaction, names.inet, kForward, kInetHook);
  std::uint32_t id = 0;
  for (const Set* map :
       {&names.isolated, &names.from_bridge, &names.to_bridge, &names.ledger.map()}) {
    ensure_set(transaction, *map, ++id);
  }
}

void ensure_ports(Transaction& transaction, const Names& names) {
  add_table(transaction, names.bridge);
  ensure_chain(transaction, names.bridge, kAdmin);
  ensure_base_chain(transaction, names.bridge, kForward, kBridgeHook);
  ensure_set(transaction, names.ports, 1);
  ensure_set(transaction, names.gateways, 2);
}

void ensure_policy(Socket& socket, Transaction& transaction, const Names& names, Policy policy,
                   const std::string& link) {
  const auto key = name_key(link);
  const std::string bridge = bridge_chain(link);
  ensure_chain(transaction, names.inet, bridge);
  ensure_rules(socket, transaction, names.inet, bridge, bridge_rules(names, link));
  ensure_element(socket, transaction, names.from_bridge, {key, {}, bridge, {}});
  ensure_element(socket, transaction, names.to_bridge, {key, {}, {}, {}, NF_DROP});
  if (policy != Policy::kIsolated) return;
  const std::string isolated = isolated_chain(link);
  ensure_chain(transaction, names.inet, isolated);
  ensure_rules(socket, transaction, names.inet, isolated, isolated_rules(link));
  ensure_element(socket, transaction, names.isolated, {key, {}, isolated, {}});
}

/// The ports that are isolated for an owner.
std::vector<SetElement> owned_ports(Socket& socket, const Names& names, const Owner& owner) {
  std::vector<SetElement> out = list_elements(socket, names.ports);
  std::erase_if(out, [&](const SetElement& port) { return port.tag() != owner.tag(); });
  return out;
}

void fill(Socket& socket, Transaction& transaction, const Names& names, const Owner& owner,
          Policy policy, const Place& place) {
  ensure_inet(transaction, names);
  ensure_rules(socket, transaction, names.inet, kForward, inet_rules(names));
  ensure_policy(socket, transaction, names, policy, place.link);
  std::vector<std::string> ports;
  if (policy == Policy::kIsolated) ports = place.ports;
  names.ledger.put(socket, transaction, owner, chain_of(policy, place.link), {});
  for (const SetElement& old : owned_ports(socket, names, owner)) {
    if (std::ranges::find(ports, name_of_key(old.key)) == ports.end()) {
      delete_element(transaction, names.ports, old.key);
    }
  }
  if (ports.empty()) return;
  ensure_ports(transaction, names);
  ensure_rules(socket, transaction, names.bridge, kForward, port_rules(names));
  for (const std::string& port : ports) {
    ensure_element(socket, transaction, names.ports,
                   {name_key(port), {}, {}, owner.label({}, kMaxComment), NF_DROP});
  }
  if (place.gateway_port.empty()) return;
  ensure_element(socket, transaction, names.gateways,
                 {name_key(place.gateway_port), {}, {}, place.link, NF_ACCEPT});
}

/// Deletes a shared chain and what leads to it.
void delete_shared(Socket& socket, Transaction& transaction, const Names& names,
                   const std::string& chain) {
  if (!has_chain(socket, names.inet, chain)) return;
  const std::string link = link_of_chain(chain);
  const auto delete_if_there = [&](const Set& map) {
    if (find_element(socket, map, name_key(link))) delete_element(transaction, map, name_key(link));
  };
  if (chain == isolated_chain(link)) {
    delete_if_there(names.isolated);
    for (const SetElement& gateway : list_elements(socket, names.gateways)) {
      if (gateway.comment == link) delete_element(transaction, names.gateways, gateway.key);
    }
  } else {
    delete_if_there(names.from_bridge);
    delete_if_there(names.to_bridge);
  }
  delete_chain(transaction, names.inet, chain);
}

void drop_unused(Socket& socket, const Names& names, const std::vector<std::string>& links) {
  for (const std::string& link : links) {
    // In this order: the first refers to the second. The kernel knows whether an attachment refers
    // to them.
    for (const std::string& chain : {isolated_chain(link), bridge_chain(link)}) {
      change_unless_busy(
          socket, "remove an ingress policy that nobody uses",
          [&](Transaction& transaction) { delete_shared(socket, transaction, names, chain); });
    }
  }
}

/// What an attachment, or several, have: entries of the ledger and ports.
struct Owned {
  std::vector<SetElement> entries, ports;
  [[nodiscard]] std::vector<std::string> links() const {
    std::vector<std::string> out;
    for (const SetElement& entry : entries) out.push_back(link_of_chain(entry.chain));
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }
};

void remove_owned(Socket& socket, const std::function<Owned()>& choose) {
  Owned removed;
  change(socket, "remove an ingress policy", [&](Transaction& transaction) {
    removed = choose();
    for (const SetElement& entry : removed.entries) {
      delete_element(transaction, ours().ledger.map(), entry.key);
    }
    for (const SetElement& port : removed.ports) {
      delete_element(transaction, ours().ports, port.key);
    }
  });
  drop_unused(socket, ours(), removed.links());
}

[[noreturn]] void differs(const std::string& what) {
  throw Error(ErrorCode::kMismatch, concat("ingressPolicy: ", what));
}

void require_same(Socket& socket, const Transaction& creation) {
  if (const auto difference = find_difference(socket, creation)) differs(*difference);
}

void require_element(Socket& socket, const Set& map, std::string_view name, int verdict,
                     std::string_view chain, std::string_view tag) {
  const auto element = find_element(socket, map, name_key(name));
  if (element && element->verdict == verdict && element->chain == chain && element->tag() == tag) {
    return;
  }
  differs(concat(quote(name), " in ", map.text(), " is missing or another"));
}

}  // namespace

void add(Socket& socket, const Owner& owner, Policy policy, const Place& place) {
  std::string before;
  change(socket, "add an ingress policy", [&](Transaction& transaction) {
    const auto entry = ours().ledger.find(socket, owner);
    before = entry ? entry->chain : std::string{};
    fill(socket, transaction, ours(), owner, policy, place);
  });
  // A milder policy, or another bridge, than the attachment had.
  if (!before.empty() && before != chain_of(policy, place.link)) {
    drop_unused(socket, ours(), {link_of_chain(before)});
  }
}

bool has(Socket& socket, const Owner& owner) {
  return ours().ledger.find(socket, owner).has_value();
}

void remove(Socket& socket, const Owner& owner) {
  remove_owned(socket, [&] {
    Owned out;
    if (const auto entry = ours().ledger.find(socket, owner)) out.entries.push_back(*entry);
    out.ports = owned_ports(socket, ours(), owner);
    return out;
  });
}

void check(Socket& socket, const Owner& owner, Policy policy, const Place& place) {
  const Names& names = ours();
  const std::string bridge = bridge_chain(place.link);
  const std::string isolated = isolated_chain(place.link);
  Transaction creation;
  ensure_inet(creation, names);
  add_rules(creation, names.inet, kForward, inet_rules(names));
  add_rules(creation, names.inet, bridge, bridge_rules(names, place.link));
  if (policy == Policy::kIsolated) {
    add_rules(creation, names.inet, isolated, isolated_rules(place.link));
    if (!place.ports.empty()) {
      ensure_ports(creation, names);
      add_rules(creation, names.bridge, kForward, port_rules(names));
    }
  }
  require_same(socket, creation);
  require_element(socket, names.from_bridge, place.link, NFT_GOTO, bridge, {});
  require_element(socket, names.to_bridge, place.link, NF_DROP, {}, {});
  const auto entry = names.ledger.find(socket, owner);
  if (!entry || entry->chain != chain_of(policy, place.link)) {
    differs(concat("the entry of this attachment in ", names.ledger.map().text(),
                   " is missing or for another chain"));
  }
  for (const SetElement& port : owned_ports(socket, names, owner)) {
    const std::string name = name_of_key(port.key);
    const bool wanted =
        policy == Policy::kIsolated && std::ranges::find(place.ports, name) != place.ports.end();
    if (!wanted) {
      differs(concat(quote(name), " in ", names.ports.text(), " is isolated for this attachment"));
    }
  }
  if (policy != Policy::kIsolated) return;
  require_element(socket, names.isolated, place.link, NFT_GOTO, isolated, {});
  for (const std::string& port : place.ports) {
    require_element(socket, names.ports, port, NF_DROP, {}, owner.tag());
  }
  if (place.gateway_port.empty()) return;
  require_element(socket, names.gateways, place.gateway_port, NF_ACCEPT, {}, place.link);
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  const auto is_dead = [&](const SetElement& element) {
    return element.comment.starts_with(prefix) && !keep(element.tag());
  };
  remove_owned(socket, [&] {
    Owned out;
    std::ranges::copy_if(ours().ledger.list(socket), std::back_inserter(out.entries), is_dead);
    std::ranges::copy_if(list_elements(socket, ours().ports), std::back_inserter(out.ports),
                         is_dead);
    return out;
  });
}

void remove_unused(Socket& socket) {
  const Names& names = ours();
  const auto is_part = [&](std::string_view name) {
    return name == kForward || name == kAdmin || name == names.isolated.name ||
           name == names.from_bridge.name || name == names.to_bridge.name ||
           name == names.gateways.name || name == names.ledger.map().name;
  };
  std::vector<std::string> links;
  for (const Set* map : {&names.isolated, &names.from_bridge}) {
    for (const SetElement& element : list_elements(socket, *map)) {
      links.push_back(name_of_key(element.key));
    }
  }
  drop_unused(socket, names, links);
  const auto idle = [&](const Table& table, const std::vector<const Set*>& maps) {
    return list_rules(socket, table, kAdmin).empty() &&
           std::ranges::all_of(maps,
                               [&](const Set* map) { return list_elements(socket, *map).empty(); });
  };
  remove_parts(socket, names.inet, is_part, [&] {
    return idle(names.inet, {&names.isolated, &names.from_bridge, &names.ledger.map()});
  });
  remove_parts(socket, names.bridge, is_part, [&] {
    return idle(names.bridge, {&names.ports, &names.gateways});
  });
}

void probe(Socket& socket, Policy policy) {
  const Names names("cnipp-probe");
  Transaction transaction;
  fill(socket, transaction, names, Owner("probe", "probe", "probe"), policy, {"probe", {"probe0"}});
  rehearse(socket, std::move(transaction));
}

}  // namespace cni::firewall::isolation
