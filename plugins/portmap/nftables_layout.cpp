// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nftables_layout.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <charconv>

#include "base/concat.h"
#include "base/hash.h"
#include "nft/ledger.h"
#include "nft/rule.h"

namespace cni::portmap::nftables {
namespace {

using nft::field_of;
using nft::Hook;
using nft::joined;
using nft::kIfnameType;
using nft::kPortType;
using nft::name_key;
using nft::owner_key;
using nft::Rule;
using nft::Type;

// Behind dstnat, where kube-proxy and others redirect: the first who does wins, and that must not
// be us (CVE-2019-9946). Before srcnat: networks without masquerading leave their own subnets alone
// there for good.
constexpr Hook kPrerouting{"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST + 5};
constexpr Hook kOutput{"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST + 5};
constexpr Hook kPostrouting{"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC - 5};
constexpr Hook kRaw{"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW};

constexpr std::string_view kPortsChain = "hostports";
constexpr std::string_view kPreroutingChain = "hostport-prerouting";
constexpr std::string_view kOutputChain = "hostport-output";
constexpr std::string_view kPostroutingChain = "hostport-postrouting";
constexpr std::string_view kMartiansChain = "hostport-martians";
constexpr std::string_view kLoopbackChain = "hostport-loopback";
constexpr std::string_view kSnatV4Chain = "hostport-snat4";
constexpr std::string_view kSnatV6Chain = "hostport-snat6";
constexpr std::string_view kSnatAllChain = "hostport-snat-all";
constexpr std::string_view kSnatNoneChain = "hostport-snat-none";
constexpr std::string_view kSharedChains[] = {
    kPortsChain,    kSnatV4Chain,     kSnatV6Chain, kSnatAllChain,     kSnatNoneChain,
    kLoopbackChain, kPreroutingChain, kOutputChain, kPostroutingChain, kMartiansChain};
constexpr std::string_view kConditionsPrefix = "hostport-if", kOpenPrefix = "hostport-open-";
constexpr std::size_t kHashDigits = 15;  // an interface name without its NUL

constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

FamilySets sets_of(const Table& table, Family family) {
  const bool v4 = family == Family::kV4;
  const Type address = v4 ? nft::kIpv4Type : nft::kIpv6Type;
  const Type service = joined({nft::kProtocolType, kPortType});
  const Type bound_service = joined({address, nft::kProtocolType, kPortType});
  const Type destination = joined({address, kPortType});
  const Type waiting = joined({kIfnameType, address, nft::kProtocolType, kPortType});
  const auto named = [&](std::string_view name) { return concat(name, v4 ? "4" : "6"); };
  return {family,
          {table, named("hostports"), service, destination},
          {table, named("hostip-ports"), bound_service, destination},
          {table, named("hostport-conditions"), service, nft::kVerdictType},
          {table, named("hostip-conditions"), bound_service, nft::kVerdictType},
          {table, named("hostport-targets"), address, nft::kVerdictType},
          {table, named("hostport-hairpins"), joined({address, address}), {}},
          {table, named("hostport-siblings"), joined({kIfnameType, address}), {}},
          {table, named("hostport-waiting"), waiting, destination},
          {table, named("hostport-waiting-conditions"), waiting, nft::kVerdictType}};
}

void append_address(Bytes& key, const IpAddress& address) {
  key.insert(key.end(), address.bytes().begin(), address.bytes().end());
}

/// A part of a joined key that takes a register of four bytes.
void append_port(Bytes& key, std::uint16_t port) {
  key.insert(key.end(),
             {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port & 0xff), 0, 0});
}

Bytes service_key(const PortMapping& mapping) {
  Bytes key{static_cast<std::uint8_t>(mapping.protocol), 0, 0, 0};
  append_port(key, mapping.host_port);
  return key;
}

std::string_view snat_chain(Snat snat, Family family) {
  if (snat == Snat::kNone) return kSnatNoneChain;
  if (snat == Snat::kAll) return kSnatAllChain;
  return family == Family::kV4 ? kSnatV4Chain : kSnatV6Chain;
}

void add_target(const Layout& layout, const Owner& owner, const Target& target, Snat snat,
                std::vector<Entry>& out) {
  const FamilySets& sets = layout.of(target.container.family());
  for (const PortMapping& mapping : target.mappings) {
    Bytes value;
    append_address(value, target.container);
    append_port(value, mapping.container_port);
    const auto bound = mapping.bound_to();
    const Bytes key = bound ? port_key(*bound, mapping) : service_key(mapping);
    out.push_back({bound ? &sets.bound_ports : &sets.ports, {key, value, {}, {}}});
    if (target.conditions.empty()) continue;
    out.push_back({bound ? &sets.bound_restricted : &sets.restricted,
                   {key, {}, conditions_chain(owner, sets.family), {}, NFT_JUMP}});
  }
  Bytes address;
  append_address(address, target.container);
  out.push_back({&sets.targets, {address, {}, std::string(snat_chain(snat, sets.family)), {}}});
  if (snat != Snat::kNeeded) return;
  Bytes pair = address;
  append_address(pair, target.container);
  out.push_back({&sets.hairpins, {pair, {}, {}, {}}});
  if (target.via.empty()) return;
  Bytes sibling = name_key(target.via);
  append_address(sibling, target.container);
  out.push_back({&sets.siblings, {sibling, {}, {}, {}}});
}

class RuleWriter {
 public:
  RuleWriter(Transaction& transaction, const Layout& layout)
      : transaction_(transaction), layout_(layout) {}

  template <typename F>
  void append(std::string_view chain, std::string_view comment, F&& fill) {
    Rule::append(transaction_, layout_.table.family, layout_.table.name, chain, comment, fill);
  }

  void redirection() {
    for (const auto& chain : {kPreroutingChain, kOutputChain}) {
      // Whatever else passes through this host is none of our business (CVE-2025-67499).
      append(chain, "only this host's addresses",
             [](Rule& rule) { rule.match_local_destination().verdict(NFT_JUMP, kPortsChain); });
    }
    for (const bool bound : {true, false}) {
      for (const Family family : kFamilies) {
        const FamilySets& sets = layout_.of(family);
        const Set& conditions = bound ? sets.bound_restricted : sets.restricted;
        const Set& ports = bound ? sets.bound_ports : sets.ports;
        append(kPortsChain, conditions.name, [&](Rule& rule) {
          rule.load_service(family, bound).lookup_verdict(conditions.name);
        });
        append(kPortsChain, ports.name, [&](Rule& rule) {
          rule.load_service(family, bound).redirect_by_map(family, ports.name);
        });
      }
    }
  }

  void masquerading() {
    for (const Family family : kFamilies) {
      const FamilySets& sets = layout_.of(family);
      append(kPostroutingChain, sets.targets.name, [&](Rule& rule) {
        rule.match_redirected().match_family(family);
        rule.load_destination(family).lookup_verdict(sets.targets.name);
      });
      const std::string_view chain = snat_chain(Snat::kNeeded, family);
      append(chain, "from the host's loopback",
             [&](Rule& rule) { rule.match_source(loopback(family)).masquerade(); });
      append(chain, "back to its sender", [&](Rule& rule) {
        rule.match_family(family).load_source_and_destination(family);
        rule.match_in_set(sets.hairpins.name).masquerade();
      });
      // The answer would go there without passing through the host. With br_netfilter it does: then
      // the packet has no incoming link at this hook.
      append(chain, "back over the link it came from", [&](Rule& rule) {
        rule.match_family(family).load_input_name_and_destination(family);
        rule.match_in_set(sets.siblings.name).masquerade();
      });
    }
    append(kSnatAllChain, "all", [](Rule& rule) { rule.masquerade(); });
  }

  /// What route_localnet would let in, and what a bridge hands to netfilter before IPv6 looks.
  void martians() {
    for (const Family family : kFamilies) {
      append(kMartiansChain, family == Family::kV4 ? "from 127/8" : "from ::1", [&](Rule& rule) {
        rule.match_source(loopback(family)).verdict(NFT_JUMP, kLoopbackChain);
      });
      append(kMartiansChain, family == Family::kV4 ? "to 127/8" : "to ::1", [&](Rule& rule) {
        rule.match_destination(loopback(family)).verdict(NFT_JUMP, kLoopbackChain);
      });
    }
    append(kLoopbackChain, "the loopback link",
           [](Rule& rule) { rule.match_input_name("lo").verdict(NFT_RETURN); });
    append(kLoopbackChain, "the loopback of a VRF",
           [](Rule& rule) { rule.match_input_kind("vrf").verdict(NFT_RETURN); });
    append(kLoopbackChain, "anything else", [](Rule& rule) { rule.verdict(NF_DROP); });
  }

 private:
  static IpNet loopback(Family family) {
    return IpNet::parse(family == Family::kV4 ? "127.0.0.0/8" : "::1/128");
  }

  Transaction& transaction_;
  const Layout& layout_;
};

const Hook* hook_of(std::string_view chain) {
  if (chain == kPreroutingChain) return &kPrerouting;
  if (chain == kOutputChain) return &kOutput;
  if (chain == kPostroutingChain) return &kPostrouting;
  return chain == kMartiansChain ? &kRaw : nullptr;
}

}  // namespace

Layout::Layout(std::string_view table_name)
    : table{nft::TableFamily::kInet, std::string(table_name)},
      owners{table, "hostport-owners", kIfnameType, {}},
      opened{table, "hostport-opened", kIfnameType, nft::kVerdictType},
      v4(sets_of(table, Family::kV4)),
      v6(sets_of(table, Family::kV6)) {}

std::vector<const Set*> Layout::sets() const {
  std::vector<const Set*> out{&owners, &opened};
  for (const FamilySets* f : {&v4, &v6}) {
    out.insert(out.end(),
               {&f->ports, &f->bound_ports, &f->restricted, &f->bound_restricted, &f->targets,
                &f->hairpins, &f->siblings, &f->waiting, &f->waiting_restricted});
  }
  return out;
}

const Layout& our_layout() {
  static const Layout layout("cnipp");
  return layout;
}

Bytes port_key(const IpAddress& host, const PortMapping& mapping) {
  Bytes key;
  append_address(key, host);
  const Bytes service = service_key(mapping);
  key.insert(key.end(), service.begin(), service.end());
  return key;
}

std::vector<Entry> entries_of(const Layout& layout, const Owner& owner, const Ports& ports) {
  std::vector<Entry> out{{&layout.owners, {owner_key(owner.tag()), {}, {}, {}}}};
  if (!ports.opens.empty()) {
    out.push_back({&layout.opened, {owner_key(owner.tag()), {}, open_chain(ports.opens), {}}});
  }
  std::string links;
  for (const Target& target : ports.targets) {
    add_target(layout, owner, target, ports.snat, out);
    if (target.via.empty()) continue;
    links += concat(target.container.is_v4() ? "via4=" : "via6=", target.via, " ");
  }
  const std::string comment = owner.label(concat(links, "n=", out.size()), nft::kMaxComment);
  for (Entry& entry : out) entry.element.comment = comment;
  return out;
}

std::size_t count_in(std::string_view comment) {
  const std::string_view text = field_of(comment, "n=");
  std::size_t n = 0;
  std::from_chars(text.begin(), text.end(), n);
  return n;
}

std::string via_in(std::string_view comment, Family family) {
  return std::string(field_of(comment, family == Family::kV4 ? "via4=" : "via6="));
}

std::string conditions_chain(const Owner& owner, Family family) {
  return concat(kConditionsPrefix, family == Family::kV4 ? "4-" : "6-",
                sha512_hex(owner.tag(), kHashDigits));
}

bool is_conditions_chain(std::string_view chain) { return chain.starts_with(kConditionsPrefix); }

std::string open_chain(std::string_view link) { return concat(kOpenPrefix, link); }

std::string link_of_open_chain(std::string_view chain) {
  return std::string(chain.starts_with(kOpenPrefix) ? chain.substr(kOpenPrefix.size()) : "");
}

namespace {

/// Goes on where the packet has (has not) the i-th value of the condition.
void match(Rule& rule, const Condition& condition, std::size_t i, bool has) {
  using Subject = Condition::Subject;
  if (condition.subject == Subject::kInputLink) {
    rule.match_input_name(condition.links[i], has);
  } else if (condition.subject == Subject::kSource) {
    has ? rule.match_source(condition.nets[i]) : rule.match_other_source(condition.nets[i]);
  } else {
    has ? rule.match_destination(condition.nets[i])
        : rule.match_other_destination(condition.nets[i]);
  }
}

}  // namespace

void create_conditions(Transaction& transaction, const Layout& layout, const Owner& owner,
                       const Target& target) {
  if (target.conditions.empty()) return;
  const std::string chain = conditions_chain(owner, target.container.family());
  add_chain(transaction, layout.table, chain);
  // Where a condition does not hold, nobody's mapping applies: accepting ends our chains.
  const auto accept = [&](auto&& fill) {
    Rule::append(transaction, layout.table.family, layout.table.name, chain, owner.tag(),
                 [&](Rule& rule) {
                   fill(rule);
                   rule.verdict(NF_ACCEPT);
                 });
  };
  for (const Condition& condition : target.conditions) {
    const std::size_t count = std::max(condition.nets.size(), condition.links.size());
    if (condition.negated) {
      for (std::size_t i = 0; i < count; ++i) {
        accept([&](Rule& rule) { match(rule, condition, i, true); });
      }
    } else {
      accept([&](Rule& rule) {
        for (std::size_t i = 0; i < count; ++i) match(rule, condition, i, false);
      });
    }
  }
}

const std::vector<std::string>& shared_chains() {
  static const std::vector<std::string> chains(std::begin(kSharedChains), std::end(kSharedChains));
  return chains;
}

void create_shared(Transaction& transaction, const Layout& layout,
                   const std::set<std::string>& existing) {
  add_table(transaction, layout.table);
  for (const std::string& chain : shared_chains()) {
    const Hook* const hook = hook_of(chain);
    if (existing.contains(chain)) {
      flush_chain(transaction, layout.table, chain);
    } else if (hook != nullptr) {
      add_base_chain(transaction, layout.table, chain, *hook);
    } else {
      add_chain(transaction, layout.table, chain);
    }
  }
  std::uint32_t id = 0;
  for (const Set* set : layout.sets()) {
    ++id;
    if (!existing.contains(set->name)) add_set(transaction, *set, id);
  }
  RuleWriter rules(transaction, layout);
  rules.redirection();
  rules.masquerading();
  rules.martians();
}

}  // namespace cni::portmap::nftables
