// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "masquerade/iptables.h"

#include <algorithm>
#include <iterator>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "host/xtables.h"

namespace cni::masquerade::iptables {
namespace {

using xtables::Ruleset;

constexpr std::string_view kTable = "nat";
constexpr std::string_view kPrefix = "CNI-";
constexpr std::size_t kHashDigits = 24;

std::string chain_name(const Target& target) {
  return concat(kPrefix, sha512_hex(concat(target.network, target.container_id), kHashDigits));
}

/// As iptables-save prints it.
std::string comment(const Target& target) {
  return concat("-m comment --comment \"name: \\\"", target.network, "\\\" id: \\\"",
                target.container_id, "\\\"\"");
}

std::string jump_rule(const Target& target, const IpAddress& address) {
  return concat("-A POSTROUTING -s ", IpNet::host(address).text(), " ", comment(target), " -j ",
                chain_name(target));
}

std::string accept_rule(const Target& target, const IpNet& net) {
  return concat("-A ", chain_name(target), " -d ", net.network().text(), " ", comment(target),
                " -j ACCEPT");
}

std::string masquerade_rule(const Target& target, Family family) {
  return concat("-A ", chain_name(target), " ! -d ",
                family == Family::kV4 ? "224.0.0.0/4" : "ff00::/8", " ", comment(target),
                " -j MASQUERADE");
}

bool is_jump_to(std::string_view rule, std::string_view chain) {
  return rule.starts_with("-A POSTROUTING ") && rule.ends_with(concat(" -j ", chain));
}

/// The destinations to which nothing is translated, without repetitions.
std::vector<std::string> accept_rules(const Target& target, const std::vector<IpNet>& nets,
                                      const std::vector<IpNet>& exclude) {
  std::vector<std::string> out;
  for (const std::vector<IpNet>* list : {&nets, &exclude}) {
    for (const IpNet& net : *list) {
      std::string rule = accept_rule(target, net);
      if (std::ranges::find(out, rule) == out.end()) out.push_back(std::move(rule));
    }
  }
  return out;
}

void add_family(const Target& target, Family family, const std::vector<IpNet>& nets,
                const std::vector<IpNet>& exclude) {
  const Ruleset saved = xtables::save(family, kTable);
  const std::string chain = chain_name(target);
  std::string commands;
  // Declaring an existing chain would flush it, and with it another interface of this container.
  if (!saved.has_chain(chain)) commands += xtables::declare_chain(chain);
  const std::string masquerade = masquerade_rule(target, family);
  if (!saved.has_rule(masquerade)) commands += concat(masquerade, "\n");
  for (const std::string& accept : accept_rules(target, nets, exclude)) {
    // In front of the masquerading, wherever that stands.
    if (!saved.has_rule(accept)) commands += xtables::as_command("-I", accept);
  }
  for (const IpNet& net : nets) {
    const std::string jump = jump_rule(target, net.address);
    if (!saved.has_rule(jump)) commands += concat(jump, "\n");
  }
  xtables::restore(family, kTable, commands);
}

void remove_family(const Target& target, Family family, const std::vector<IpAddress>& addresses) {
  const Ruleset saved = xtables::save(family, kTable);
  const std::string chain = chain_name(target);
  std::string commands;
  bool others = false;
  for (const std::string& rule : saved.rules) {
    if (!is_jump_to(rule, chain)) continue;
    const bool wanted =
        addresses.empty() || std::ranges::any_of(addresses, [&](const IpAddress& address) {
          return rule.find(concat(" -s ", IpNet::host(address).text(), " ")) != rule.npos;
        });
    others = others || !wanted;
    if (wanted) commands += xtables::as_command("-D", rule);
  }
  if (!others && saved.has_chain(chain)) commands += xtables::drop_chain(chain);
  xtables::restore(family, kTable, commands);
}

std::vector<IpNet> of_family(const std::vector<IpNet>& nets, Family family) {
  std::vector<IpNet> out;
  std::ranges::copy_if(nets, std::back_inserter(out),
                       [&](const IpNet& net) { return net.family() == family; });
  return out;
}

/// The container id of a rule of the network, from its comment; "" for other rules.
std::string container_of(std::string_view rule, std::string_view network) {
  const std::string begin = concat("--comment \"name: \\\"", network, "\\\" id: \\\"");
  const auto at = rule.find(begin);
  if (at == rule.npos) return {};
  const std::string_view id = rule.substr(at + begin.size());
  return std::string(id.substr(0, id.find("\\\"")));
}

void collect_family(Family family, std::string_view network,
                    const std::function<bool(std::string_view container_id)>& keep) {
  const Ruleset saved = xtables::save(family, kTable);
  std::string jumps;
  std::vector<std::string> chains;
  for (const std::string& rule : saved.rules) {
    const std::string id = container_of(rule, network);
    if (id.empty() || keep(id)) continue;
    const std::string chain = chain_name({std::string(network), id});
    if (is_jump_to(rule, chain)) jumps += xtables::as_command("-D", rule);
    const bool known = std::ranges::find(chains, chain) != chains.end();
    if (saved.has_chain(chain) && !known) chains.push_back(chain);
  }
  for (const std::string& chain : chains) jumps += xtables::drop_chain(chain);
  xtables::restore(family, kTable, jumps);
}

}  // namespace

void add(const Target& target, const std::vector<IpNet>& addresses,
         const std::vector<IpNet>& exclude) {
  for (const Family family : xtables::kFamilies) {
    const std::vector<IpNet> nets = of_family(addresses, family);
    if (!nets.empty()) add_family(target, family, nets, of_family(exclude, family));
  }
}

void remove(Host& host, const Target& target, const std::vector<IpAddress>& addresses) {
  for (const Family family : xtables::kFamilies) {
    if (xtables::may_have_chain(host, family, kTable, chain_name(target)))
      remove_family(target, family, addresses);
  }
}

void check(const Target& target, const std::vector<IpNet>& addresses,
           const std::vector<IpNet>& exclude) {
  for (const Family family : xtables::kFamilies) {
    const std::vector<IpNet> nets = of_family(addresses, family);
    if (nets.empty()) continue;
    const Ruleset saved = xtables::save(family, kTable);
    std::vector<std::string> wanted = accept_rules(target, nets, of_family(exclude, family));
    wanted.push_back(masquerade_rule(target, family));
    for (const IpNet& net : nets) wanted.push_back(jump_rule(target, net.address));
    for (const std::string& rule : wanted) {
      if (saved.has_rule(rule)) continue;
      throw Error(ErrorCode::kMismatch, concat("masquerading: the ", xtables::program(family),
                                               " nat rule ", quote(rule), " is missing"));
    }
  }
}

void collect(Host& host, std::string_view network,
             const std::function<bool(std::string_view container_id)>& keep) {
  for (const Family family : xtables::kFamilies) {
    const std::vector<std::string> chains = xtables::nft_chains(host, family, kTable);
    const bool any = std::ranges::any_of(chains, [](const std::string& chain) {
      return chain.starts_with(kPrefix) && chain.size() == kPrefix.size() + kHashDigits;
    });
    if (any || xtables::may_have_legacy_table(family, kTable))
      collect_family(family, network, keep);
  }
}

bool may_exist(Host& host, const Target& target) {
  const std::string chain = chain_name(target);
  return std::ranges::any_of(xtables::kFamilies, [&](Family family) {
    return xtables::may_have_chain(host, family, kTable, chain);
  });
}

}  // namespace cni::masquerade::iptables
