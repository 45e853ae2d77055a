// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "isolation.h"

#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>

#include <algorithm>
#include <cerrno>

#include "base/concat.h"
#include "base/error.h"
#include "nft/ensure.h"
#include "nft/ledger.h"

namespace cni::firewall::isolation {
namespace {

using netlink::Socket;
using nft::Element;
using nft::generation;
using nft::Hook;
using nft::is_transient;
using nft::kMaxComment;
using nft::Ledger;
using nft::name_key;
using nft::name_map;
using nft::name_of_key;
using nft::NamedRule;
using nft::optimistically;
using nft::Rule;
using nft::Table;
using nft::TableFamily;
using nft::Transaction;
using nft::VerdictMap;

constexpr std::string_view kForward = "forward", kAdmin = "admin", kIsolatedMap = "isolated";
constexpr Hook kInetHook{"filter", NF_INET_FORWARD, 0};
// Before br_netfilter, which takes IP packets round the hooks of its own priority, 0.
constexpr Hook kBridgeHook{"filter", NF_BR_FORWARD, NF_BR_PRI_FILTER_BRIDGED};

/// The names of everything, so that a probe can use other tables.
struct Names {
  Table inet, bridge;
  VerdictMap isolated, from_bridge, to_bridge, ports, gateways;
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

NamedRule input_rule(const VerdictMap& map) {
  return {concat("from ", map.name),
          [name = map.name](Rule& rule) { rule.load_input_name().lookup_verdict(name); }};
}

NamedRule output_rule(const VerdictMap& map) {
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

void ensure_inet(Socket& socket, Transaction& transaction, const Names& names) {
  add_table(transaction, names.inet);
  ensure_chain(transaction, names.inet, kAdmin);
  ensure_base_chain(transaction, names.inet, kForward, kInetHook);
  std::uint32_t id = 0;
  for (const VerdictMap* map :
       {&names.isolated, &names.from_bridge, &names.to_bridge, &names.ledger.map()}) {
    ensure_map(transaction, *map, ++id);
  }
  ensure_rules(socket, transaction, names.inet, kForward, inet_rules(names));
}

void ensure_ports(Socket& socket, Transaction& transaction, const Names& names) {
  add_table(transaction, names.bridge);
  ensure_chain(transaction, names.bridge, kAdmin);
  ensure_base_chain(transaction, names.bridge, kForward, kBridgeHook);
  ensure_map(transaction, names.ports, 1);
  ensure_map(transaction, names.gateways, 2);
  ensure_rules(socket, transaction, names.bridge, kForward, port_rules(names));
}

void ensure_policy(Socket& socket, Transaction& transaction, const Names& names, Policy policy,
                   const std::string& link) {
  const auto key = name_key(link);
  const std::string bridge = bridge_chain(link);
  ensure_chain(transaction, names.inet, bridge);
  ensure_rules(socket, transaction, names.inet, bridge, bridge_rules(names, link));
  ensure_element(socket, transaction, names.from_bridge, key, NFT_GOTO, bridge);
  ensure_element(socket, transaction, names.to_bridge, key, NF_DROP);
  if (policy != Policy::kIsolated) return;
  const std::string isolated = isolated_chain(link);
  ensure_chain(transaction, names.inet, isolated);
  ensure_rules(socket, transaction, names.inet, isolated, isolated_rules(link));
  ensure_element(socket, transaction, names.isolated, key, NFT_GOTO, isolated);
}

std::string joined(const std::vector<std::string>& ports) {
  std::string out = "ports=";
  for (const std::string& port : ports) out += concat(out.back() == '=' ? "" : "+", port);
  return out;
}

std::vector<std::string> split(std::string_view ports) {
  std::vector<std::string> out;
  while (!ports.empty()) {
    const auto end = ports.find('+');
    out.emplace_back(ports.substr(0, end));
    ports.remove_prefix(end == ports.npos ? ports.size() : end + 1);
  }
  return out;
}

void fill(Socket& socket, Transaction& transaction, const Names& names, const Owner& owner,
          Policy policy, const Place& place) {
  ensure_inet(socket, transaction, names);
  ensure_policy(socket, transaction, names, policy, place.link);
  std::vector<std::string> ports;
  if (policy == Policy::kIsolated) ports = place.ports;
  names.ledger.put(socket, transaction, owner, chain_of(policy, place.link), joined(ports));
  if (ports.empty()) return;
  ensure_ports(socket, transaction, names);
  for (const std::string& port : ports) {
    ensure_element(socket, transaction, names.ports, name_key(port), NF_DROP, {},
                   owner.label({}, kMaxComment));
  }
  if (place.gateway_port.empty()) return;
  ensure_element(socket, transaction, names.gateways, name_key(place.gateway_port), NF_ACCEPT, {},
                 place.link);
}

/// Deletes a shared chain and what leads to it, unless an attachment refers to it.
void drop_if_unused(Socket& socket, const Names& names, const std::string& chain) {
  const std::string link = link_of_chain(chain);
  const auto key = name_key(link);
  Transaction transaction;
  const auto delete_if_there = [&](const VerdictMap& map) {
    if (find_element(socket, map, key)) delete_element(transaction, map, key);
  };
  const std::uint32_t seen = generation(socket);
  if (!has_chain(socket, names.inet, chain)) return;
  if (chain == isolated_chain(link)) {
    delete_if_there(names.isolated);
    for (const Element& gateway : list_elements(socket, names.gateways)) {
      if (gateway.comment == link) delete_element(transaction, names.gateways, gateway.key);
    }
  } else {
    delete_if_there(names.from_bridge);
    delete_if_there(names.to_bridge);
  }
  delete_chain(transaction, names.inet, chain);
  const int error = transaction.try_commit(socket, seen);
  if (error == EBUSY) return;  // in use
  if (is_transient(error)) throw KernelError(error, "the ruleset changed");
  if (error != 0 && error != ENOENT) transaction.fail();
}

void drop_unused(Socket& socket, const Names& names, const std::vector<std::string>& links) {
  for (const std::string& link : links) {
    // In this order: the first refers to the second.
    for (const std::string& chain : {isolated_chain(link), bridge_chain(link)}) {
      optimistically("remove an ingress policy that nobody uses", [&] {
        try {
          drop_if_unused(socket, names, chain);
          return true;
        } catch (const KernelError& error) {
          if (!is_transient(error.error_number())) throw;
          return false;
        }
      });
    }
  }
}

/// What an attachment, or several, have: entries of the ledger and ports.
struct Owned {
  std::vector<Element> entries, ports;
  [[nodiscard]] std::vector<std::string> links() const {
    std::vector<std::string> out;
    for (const Element& entry : entries) out.push_back(link_of_chain(entry.chain));
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }
};

void remove_owned(Socket& socket, const std::function<Owned()>& choose) {
  Owned removed;
  optimistically("remove an ingress policy", [&] {
    const std::uint32_t seen = generation(socket);
    removed = choose();
    Transaction transaction;
    for (const Element& entry : removed.entries) {
      delete_element(transaction, ours().ledger.map(), entry.key);
    }
    for (const Element& port : removed.ports) delete_element(transaction, ours().ports, port.key);
    if (transaction.empty()) return true;
    const int error = transaction.try_commit(socket, seen);
    if (error != 0 && error != ENOENT && !is_transient(error)) transaction.fail();
    return error == 0;
  });
  drop_unused(socket, ours(), removed.links());
}

[[noreturn]] void differs(const std::string& what) {
  throw Error(ErrorCode::kMismatch, concat("ingressPolicy: ", what));
}

void require_rules(Socket& socket, const Table& table, std::string_view chain,
                   const std::vector<NamedRule>& rules) {
  if (has_rules(socket, table, chain, rules)) return;
  differs(concat("the rules of nf_tables chain ",
                 table.family == TableFamily::kBridge ? "bridge " : "inet ", table.name, " ", chain,
                 " are missing or were changed"));
}

void require_element(Socket& socket, const VerdictMap& map, std::string_view name, int verdict,
                     std::string_view chain, std::string_view tag) {
  const auto element = find_element(socket, map, name_key(name));
  if (element && element->verdict == verdict && element->chain == chain && element->tag() == tag) {
    return;
  }
  differs(concat(quote(name), " in nf_tables map ",
                 map.table.family == TableFamily::kBridge ? "bridge " : "inet ", map.table.name,
                 " ", map.name, " is missing or another"));
}

}  // namespace

void add(Socket& socket, const Owner& owner, Policy policy, const Place& place) {
  optimistically("add an ingress policy", [&] {
    const std::uint32_t seen = generation(socket);
    Transaction transaction;
    fill(socket, transaction, ours(), owner, policy, place);
    const int error = transaction.try_commit(socket, seen);
    if (error != 0 && !is_transient(error)) transaction.fail();
    return error == 0;
  });
}

bool has(Socket& socket, const Owner& owner) {
  return ours().ledger.find(socket, owner).has_value();
}

void remove(Socket& socket, const Owner& owner, const std::vector<std::string>& likely_ports) {
  remove_owned(socket, [&] {
    Owned out;
    std::vector<std::string> ports = likely_ports;
    if (const auto entry = ours().ledger.find(socket, owner)) {
      out.entries.push_back(*entry);
      ports = split(value_in_comment(*entry, "ports="));
    }
    for (const std::string& port : ports) {
      const auto element = find_element(socket, ours().ports, name_key(port));
      if (element && element->tag() == owner.tag()) out.ports.push_back(*element);
    }
    return out;
  });
}

void check(Socket& socket, const Owner& owner, Policy policy, const Place& place) {
  const Names& names = ours();
  require_rules(socket, names.inet, kForward, inet_rules(names));
  const std::string bridge = bridge_chain(place.link);
  require_rules(socket, names.inet, bridge, bridge_rules(names, place.link));
  require_element(socket, names.from_bridge, place.link, NFT_GOTO, bridge, {});
  require_element(socket, names.to_bridge, place.link, NF_DROP, {}, {});
  const auto entry = names.ledger.find(socket, owner);
  if (!entry || entry->chain != chain_of(policy, place.link)) {
    differs(concat("the entry of this attachment in nf_tables map inet ", names.inet.name, " ",
                   names.ledger.map().name, " is missing or for another chain"));
  }
  if (policy != Policy::kIsolated) return;
  const std::string isolated = isolated_chain(place.link);
  require_rules(socket, names.inet, isolated, isolated_rules(place.link));
  require_element(socket, names.isolated, place.link, NFT_GOTO, isolated, {});
  if (!place.ports.empty()) require_rules(socket, names.bridge, kForward, port_rules(names));
  for (const std::string& port : place.ports) {
    require_element(socket, names.ports, port, NF_DROP, {}, owner.tag());
  }
  if (place.gateway_port.empty()) return;
  require_element(socket, names.gateways, place.gateway_port, NF_ACCEPT, {}, place.link);
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  const auto is_dead = [&](const Element& element) {
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
  std::vector<std::string> links;
  for (const VerdictMap* map : {&names.isolated, &names.from_bridge}) {
    for (const Element& element : list_elements(socket, *map)) {
      links.push_back(name_of_key(element.key));
    }
  }
  drop_unused(socket, names, links);
  const auto idle = [&](const Table& table, const std::vector<const VerdictMap*>& maps) {
    return list_rules(socket, table, kAdmin).empty() &&
           std::ranges::all_of(
               maps, [&](const VerdictMap* map) { return list_elements(socket, *map).empty(); });
  };
  const std::vector<std::string> chains{std::string(kForward), std::string(kAdmin)};
  remove_parts(
      socket, names.inet, chains,
      {names.isolated, names.from_bridge, names.to_bridge, names.ledger.map()}, [&] {
        return idle(names.inet, {&names.isolated, &names.from_bridge, &names.ledger.map()});
      });
  remove_parts(socket, names.bridge, chains, {names.ports, names.gateways}, [&] {
    return idle(names.bridge, {&names.ports, &names.gateways});
  });
}

void probe(Socket& socket, Policy policy) {
  const Names names("cnipp-probe");
  Transaction transaction;
  fill(socket, transaction, names, Owner("probe", "probe", "probe"), policy, {"probe", {"probe0"}});
  // This one must fail, and takes everything before it back.
  delete_table(transaction, {TableFamily::kInet, "cnipp-probe-end"});
  if (transaction.try_commit(socket) != ENOENT) transaction.fail();
}

}  // namespace cni::firewall::isolation
