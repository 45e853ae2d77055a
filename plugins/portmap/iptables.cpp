// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "iptables.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/concat.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/hash.h"
#include "host/xtables.h"

namespace cni::portmap::iptables {
namespace {

using xtables::Ruleset;

constexpr std::string_view kTable = "nat";
constexpr std::string_view kDnatChain = "CNI-HOSTPORT-DNAT";
constexpr std::string_view kMarkChain = "CNI-HOSTPORT-SETMARK";
constexpr std::string_view kMasqChain = "CNI-HOSTPORT-MASQ";
constexpr std::string_view kPrefix = "CNI-DN-";
constexpr std::string_view kOldPrefix = "CNI-SN-";  // of the reference before 0.7
constexpr std::size_t kHashDigits = 21;
constexpr std::size_t kMaxComment = 255;
constexpr std::size_t kPortsInRule = 15;  // of the multiport match

std::string chain_name(const Target& target, std::string_view prefix = kPrefix) {
  return concat(prefix, sha512_hex(concat(target.network, target.container_id), kHashDigits));
}

/// As iptables-save prints it, with quotes.
std::string comment(const Target& target) {
  std::string text =
      concat("dnat name: \"", target.network, "\" id: \"", target.container_id, "\"");
  if (text.size() > kMaxComment) text = concat(text.substr(0, kMaxComment - 2), "...");
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string mark(const Options& options) {
  const std::string bit = concat("0x", hex(1ULL << options.mark_bit));
  return concat(bit, "/", bit);
}

/// What all containers share, in the form of iptables-save; each with the command that makes it.
struct SharedRule {
  std::string_view command;
  std::string rule;
};
std::vector<SharedRule> shared_rules(const Options& options) {
  std::vector<SharedRule> out;
  if (options.snat && options.external_set_mark_chain.empty()) {
    out.push_back(
        {"-A", concat("-A ", kMarkChain, " -m comment --comment \"CNI portfwd masquerade ",
                      "mark\" -j MARK --set-xmark ", mark(options))});
    out.push_back(
        {"-A", concat("-A ", kMasqChain, " -m mark --mark ", mark(options), " -j MASQUERADE")});
    // In front: the masquerading of networks accepts what goes to its own subnets.
    out.push_back({"-I", concat("-A POSTROUTING -m comment --comment \"CNI portfwd requiring ",
                                "masquerade\" -j ", kMasqChain)});
  }
  for (const std::string_view from : {"PREROUTING", "OUTPUT"}) {
    // Behind everybody else's (CVE-2019-9946).
    out.push_back({"-A", concat("-A ", from, " -m addrtype --dst-type LOCAL -j ", kDnatChain)});
  }
  return out;
}

std::vector<std::string_view> shared_chains(const Options& options) {
  if (options.snat && options.external_set_mark_chain.empty()) {
    return {kMarkChain, kMasqChain, kDnatChain};
  }
  return {kDnatChain};
}

/// "-d 192.0.2.1/32 -p tcp -m tcp --dport 8080"
std::string match(const PortMapping& mapping) {
  const auto bound = mapping.bound_to();
  const std::string_view protocol = text(mapping.protocol);
  return concat(bound ? concat("-d ", IpNet::host(*bound).text(), " ") : "", "-p ", protocol,
                " -m ", protocol, " --dport ", mapping.host_port);
}

std::string destination(const IpAddress& address, std::uint16_t port) {
  return address.is_v4() ? concat(address.text(), ":", port)
                         : concat("[", address.text(), "]:", port);
}

/// The container's own chain, in the form of iptables-save.
std::vector<std::string> chain_rules(const Target& target, const IpNet& net, const Ports& ports) {
  const Options& options = ports.options;
  const std::string chain = concat("-A ", chain_name(target), " ");
  const std::string to_mark =
      concat(" -j ", options.external_set_mark_chain.empty() ? std::string(kMarkChain)
                                                             : options.external_set_mark_chain);
  std::vector<std::string> out;
  for (const PortMapping& mapping : ports.mappings) {
    if (!mapping.serves(net.family())) continue;
    if (options.snat && options.masq_all) out.push_back(concat(chain, match(mapping), to_mark));
    if (options.snat && !options.masq_all) {
      out.push_back(concat(chain, "-s ", net.network().text(), " ", match(mapping), to_mark));
      if (net.address.is_v4()) {
        out.push_back(concat(chain, "-s 127.0.0.1/32 ", match(mapping), to_mark));
      }
    }
    out.push_back(concat(chain, match(mapping), " -j DNAT --to-destination ",
                         destination(net.address, mapping.container_port)));
  }
  return out;
}

/// A word that iptables-restore takes as one.
std::string quoted_word(const std::string& word) {
  std::string out = "\"";
  for (const char c : word) {
    if (c == '\n' || c == '\0') {
      throw Error(ErrorCode::kInvalidConfig, concat("conditions: a line break in ", quote(word)));
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// What leads to the container's chain: protocol and up to 15 ports each.
struct Entry {
  std::string protocol, ports;
};
std::vector<Entry> entries_of(const Ports& ports) {
  std::map<std::string, std::vector<std::uint16_t>> by_protocol;
  for (const PortMapping& mapping : ports.mappings) {
    by_protocol[std::string(text(mapping.protocol))].push_back(mapping.host_port);
  }
  std::vector<Entry> out;
  for (const auto& [protocol, numbers] : by_protocol) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (i % kPortsInRule == 0) out.push_back({protocol, {}});
      std::string& list = out.back().ports;
      list += concat(list.empty() ? "" : ",", numbers[i]);
    }
  }
  return out;
}

std::string entry_rule(const Target& target, const Entry& entry,
                       const std::vector<std::string>& conditions) {
  std::string out = concat("-A ", kDnatChain, " -p ", entry.protocol, " -m comment --comment ",
                           comment(target), " -m multiport --dports ", entry.ports);
  for (const std::string& word : conditions) out += concat(" ", quoted_word(word));
  return concat(out, " -j ", chain_name(target));
}

/// iptables-save moves addresses and links of conditions to the front: the rest is looked for.
bool is_entry(std::string_view rule, const Target& target, const Entry& entry) {
  return rule.starts_with(concat("-A ", kDnatChain, " ")) &&
         rule.find(concat(" -p ", entry.protocol, " ")) != rule.npos &&
         rule.find(concat(" --comment ", comment(target), " ")) != rule.npos &&
         rule.find(concat(" --dports ", entry.ports, " ")) != rule.npos &&
         rule.ends_with(concat(" -j ", chain_name(target)));
}

bool is_jump_to(std::string_view rule, std::string_view chain) {
  return rule.ends_with(concat(" -j ", chain));
}

std::vector<std::string> rules_in(const Ruleset& saved, std::string_view chain) {
  std::vector<std::string> out;
  for (const std::string& rule : saved.rules) {
    if (rule.starts_with(concat("-A ", chain, " "))) out.push_back(rule);
  }
  return out;
}

/// "10.1.2.3:80", "[2001:db8::3]:80" behind --to-destination.
std::optional<IpAddress> redirected_to(std::string_view rule) {
  constexpr std::string_view kWord = " --to-destination ";
  const auto at = rule.find(kWord);
  if (at == rule.npos) return std::nullopt;
  std::string_view value = rule.substr(at + kWord.size());
  value = value.substr(0, value.find(' '));
  value = value.substr(0, value.rfind(':'));
  if (value.starts_with("[") && value.ends_with("]")) value = value.substr(1, value.size() - 2);
  return IpAddress::try_parse(value);
}

/// "tcp 8080" of what `match` writes.
std::string port_text(std::string_view match) {
  const std::string_view protocol = match.substr(match.find("-p ") + 3);
  return concat(protocol.substr(0, protocol.find(' ')), match.substr(match.rfind(' ')));
}

/// Whose an entry rule is: "dnat name: \"net1\" id: \"c1\"" as iptables-save quotes it.
std::optional<Target> target_of(std::string_view rule) {
  constexpr std::string_view kName = "--comment \"dnat name: \\\"", kId = "\\\" id: \\\"";
  const auto begin = rule.find(kName);
  if (begin == rule.npos) return std::nullopt;
  const std::string_view names = rule.substr(begin + kName.size());
  const auto middle = names.find(kId);
  if (middle == names.npos) return std::nullopt;
  const std::string_view id = names.substr(middle + kId.size());
  return Target{std::string(names.substr(0, middle)), std::string(id.substr(0, id.find("\\\"")))};
}

/// Containers that have some of our ports: the first rule wins, ours would be without effect.
struct Others {
  std::vector<Target> dead, replaced;
};
Others look_at_others(const Ruleset& saved, const Target& target, const IpNet& net,
                      const Ports& ports, const Judge& judge) {
  Others out;
  std::set<std::string> wanted;
  for (const PortMapping& mapping : ports.mappings) {
    if (mapping.serves(net.family())) wanted.insert(match(mapping));
  }
  std::set<std::string, std::less<>> seen{chain_name(target)};
  for (const std::string& rule : saved.rules) {
    const auto other = redirected_to(rule);
    if (!rule.starts_with(concat("-A ", kPrefix)) || !other || *other == net.address) continue;
    const std::string_view chain = std::string_view(rule).substr(3, rule.find(' ', 3) - 3);
    const std::size_t begin = chain.size() + 4;
    const std::string port = rule.substr(begin, rule.find(" -j DNAT ") - begin);
    if (!wanted.contains(port) || !seen.insert(std::string(chain)).second) continue;
    const auto entry = std::ranges::find_if(
        saved.rules, [&](const std::string& r) { return is_jump_to(r, chain); });
    if (entry == saved.rules.end()) continue;  // nothing leads there
    const auto owner = target_of(*entry);
    const Holder holder = owner ? judge(*owner) : Holder::kStranger;
    if (holder == Holder::kStranger) {
      throw Error(ErrorCode::kConflict,
                  concat("host port ", port_text(port), " is mapped by another container"), *entry);
    }
    if (holder == Holder::kDead) out.dead.push_back(*owner);
    if (holder == Holder::kReplaced) out.replaced.push_back(*owner);
  }
  return out;
}

const std::vector<std::string>& conditions_of(const Options& options, Family family) {
  return family == Family::kV4 ? options.conditions_v4 : options.conditions_v6;
}

/// "" when everything is there; else what is not.
std::string find_difference(const Ruleset& saved, const Target& target, const IpNet& net,
                            const Ports& ports) {
  for (const SharedRule& shared : shared_rules(ports.options)) {
    if (!saved.has_rule(shared.rule)) return concat("rule ", quote(shared.rule), " is missing");
  }
  const std::string chain = chain_name(target);
  const std::vector<std::string> actual = rules_in(saved, chain);
  const std::vector<std::string> wanted = chain_rules(target, net, ports);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= actual.size() || actual[i] != wanted[i]) {
      return concat("rule ", i + 1, " of chain ", chain, ", ", quote(wanted[i]),
                    ", is missing or was changed");
    }
  }
  if (actual.size() > wanted.size()) return concat("chain ", chain, " has other rules");
  for (const Entry& entry : entries_of(ports)) {
    const bool there = std::ranges::any_of(
        saved.rules, [&](const std::string& rule) { return is_entry(rule, target, entry); });
    if (!there) {
      return concat("the rule of chain ", kDnatChain, " for ", entry.protocol, " ports ",
                    entry.ports, " is missing");
    }
  }
  return {};
}

/// Commands that remove these chains and what leads to them.
std::string removal(const Ruleset& saved, const std::vector<std::string>& chains,
                    std::vector<IpAddress>& addresses) {
  std::string commands;
  std::string drops;
  for (const std::string& chain : chains) {
    for (const std::string& rule : saved.rules) {
      if (is_jump_to(rule, chain)) commands += xtables::as_command("-D", rule);
    }
    for (const std::string& rule : rules_in(saved, chain)) {
      const auto address = redirected_to(rule);
      if (address && std::ranges::find(addresses, *address) == addresses.end()) {
        addresses.push_back(*address);
      }
    }
    if (saved.has_chain(chain)) drops += xtables::drop_chain(chain);
  }
  return commands + drops;
}

std::vector<std::string> chains_of(const std::vector<Target>& targets) {
  std::vector<std::string> out;
  for (const Target& target : targets) out.push_back(chain_name(target));
  return out;
}

void add_family(const Target& target, const IpNet& net, const Ports& ports, const Judge& judge,
                bool& changed) {
  const Ruleset saved = xtables::save(net.family(), kTable);
  const Others others = look_at_others(saved, target, net, ports, judge);
  // Conditions cannot be compared: iptables-save has words of its own for them.
  if (conditions_of(ports.options, net.family()).empty() &&
      find_difference(saved, target, net, ports).empty()) {
    return;
  }
  std::string commands;
  for (const std::string_view chain : shared_chains(ports.options)) {
    if (!saved.has_chain(chain)) commands += xtables::declare_chain(chain);
  }
  for (const SharedRule& shared : shared_rules(ports.options)) {
    if (!saved.has_rule(shared.rule)) commands += xtables::as_command(shared.command, shared.rule);
  }
  // Declared anew it is empty: what the container had before goes.
  const std::string chain = chain_name(target);
  commands += xtables::declare_chain(chain);
  for (const std::string& rule : saved.rules) {
    if (is_jump_to(rule, chain)) commands += xtables::as_command("-D", rule);
  }
  for (const std::string& rule : chain_rules(target, net, ports)) commands += concat(rule, "\n");
  std::vector<IpAddress> freed;
  commands += removal(saved, chains_of(others.dead), freed);
  for (const Entry& entry : entries_of(ports)) {
    const std::string rule = entry_rule(target, entry, conditions_of(ports.options, net.family()));
    commands += others.replaced.empty() ? concat(rule, "\n") : xtables::as_command("-I", rule);
  }
  changed = true;
  xtables::restore(net.family(), kTable, commands);
}

}  // namespace

void make_way(Host& host, const Target& target, const Ports& ports, const Judge& judge) {
  for (const IpNet& net : ports.addresses) {
    if (!xtables::may_have_chain(host, net.family(), kTable, kDnatChain)) continue;
    const Others others =
        look_at_others(xtables::save(net.family(), kTable), target, net, ports, judge);
    for (const std::vector<Target>* gone : {&others.dead, &others.replaced}) {
      for (const Target& other : *gone) remove(host, other);
    }
  }
}

void add(const Target& target, const Ports& ports, const Judge& judge, bool& changed) {
  // Between reading and writing: two that both miss a shared chain would empty each other's.
  const FileLock lock = FileLock::of_suite("iptables-portmap");
  for (const IpNet& net : ports.addresses) add_family(target, net, ports, judge, changed);
}

std::vector<IpAddress> remove(Host& host, const Target& target) {
  std::vector<IpAddress> addresses;
  const std::vector<std::string> chains{chain_name(target), chain_name(target, kOldPrefix)};
  for (const Family family : xtables::kFamilies) {
    const bool any = std::ranges::any_of(chains, [&](const std::string& chain) {
      return xtables::may_have_chain(host, family, kTable, chain);
    });
    if (!any) continue;
    const Ruleset saved = xtables::save(family, kTable);
    xtables::restore(family, kTable, removal(saved, chains, addresses));
  }
  return addresses;
}

void check(const Target& target, const Ports& ports) {
  for (const IpNet& net : ports.addresses) {
    const Ruleset saved = xtables::save(net.family(), kTable);
    const std::string difference = find_difference(saved, target, net, ports);
    if (difference.empty()) continue;
    throw Error(ErrorCode::kMismatch, concat("published ports: ", xtables::program(net.family()),
                                             " table ", kTable, ": ", difference));
  }
}

std::vector<IpAddress> collect(Host& host, std::string_view network,
                               const std::function<bool(std::string_view container_id)>& keep) {
  std::vector<IpAddress> addresses;
  for (const Family family : xtables::kFamilies) {
    const auto known = xtables::nft_chains(host, family, kTable);
    const bool any = std::ranges::find(known, kDnatChain) != known.end();
    if (!any && !xtables::may_have_legacy_table(family, kTable)) continue;
    const Ruleset saved = xtables::save(family, kTable);
    std::vector<std::string> chains;
    for (const std::string& rule : saved.rules) {
      const auto owner = target_of(rule);
      if (!owner || owner->network != network || keep(owner->container_id)) continue;
      const std::string chain = chain_name(*owner);
      const bool repeated = std::ranges::find(chains, chain) != chains.end();
      if (is_jump_to(rule, chain) && !repeated) chains.push_back(chain);
    }
    xtables::restore(family, kTable, removal(saved, chains, addresses));
  }
  return addresses;
}

bool may_exist(Host& host, const Target& target) {
  return std::ranges::any_of(xtables::kFamilies, [&](Family family) {
    return xtables::may_have_chain(host, family, kTable, chain_name(target));
  });
}

}  // namespace cni::portmap::iptables
