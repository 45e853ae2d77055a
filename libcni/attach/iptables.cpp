// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/iptables.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/process.h"
#include "nft/verdict_map.h"

namespace cni::iptables {
namespace {

constexpr std::string_view kPrefix = "CNI-";
constexpr std::size_t kHashDigits = 24;
constexpr std::string_view kFallbackPath = "/usr/sbin:/sbin:/usr/bin:/bin";

std::string chain_name(const Target& target) {
  return concat(kPrefix, sha512_hex(concat(target.network, target.container_id), kHashDigits));
}

/// As iptables-save prints it.
std::string comment(const Target& target) {
  return concat("-m comment --comment \"name: \\\"", target.network, "\\\" id: \\\"",
                target.container_id, "\\\"\"");
}

std::string find_program(std::string_view name) {
  const char* const path = std::getenv("PATH");
  const std::string search = concat(path == nullptr ? "" : path, ":", kFallbackPath);
  std::string_view rest = search;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const std::string candidate = concat(rest.substr(0, colon), "/", name);
    if (candidate.size() > name.size() + 1 && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    rest.remove_prefix(colon == rest.npos ? rest.size() : colon + 1);
  }
  throw Error(ErrorCode::kNotAvailable, concat("failed to locate ", name),
              "ipMasqBackend \"iptables\" needs the iptables programs; \"nftables\" needs none");
}

std::string_view program_prefix(Family family) {
  return family == Family::kV4 ? "iptables" : "ip6tables";
}

std::string run(const std::string& name, const std::vector<std::string>& arguments,
                std::string_view input) {
  const std::string path = find_program(name);
  const log::Step timed(concat("run ", name));
  std::vector<std::string> argv{path};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const RunResult result = run_process(path, argv, current_environment(), input);
  if (!result.status.ok()) {
    throw Error(ErrorCode::kKernel, concat(name, " failed: ", result.status.text()),
                "its stderr tells why");
  }
  return result.output;
}

/// The nat table of one family as text.
struct Saved {
  std::vector<std::string> rules;   // "-A ..."
  std::vector<std::string> chains;  // names

  [[nodiscard]] bool has_chain(std::string_view name) const {
    return std::ranges::find(chains, name) != chains.end();
  }
  [[nodiscard]] bool has_rule(std::string_view rule) const {
    return std::ranges::find(rules, rule) != rules.end();
  }
};

Saved save(Family family) {
  const std::string output = run(concat(program_prefix(family), "-save"), {"-t", "nat"}, {});
  Saved out;
  std::string_view rest = output;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line.starts_with("-A ")) out.rules.emplace_back(line);
    if (line.starts_with(":")) out.chains.emplace_back(line.substr(1, line.find(' ') - 1));
  }
  return out;
}

void restore(Family family, const std::string& commands) {
  if (commands.empty()) return;
  run(concat(program_prefix(family), "-restore"), {"--noflush", "-w"},
      concat("*nat\n", commands, "COMMIT\n"));
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

/// "-A" becomes another command for the same rule.
std::string as_command(std::string_view command, std::string_view rule) {
  return concat(command, rule.substr(2), "\n");
}

std::string drop_chain(std::string_view chain) {
  return concat("-F ", chain, "\n-X ", chain, "\n");
}

void add_family(const Target& target, Family family, const std::vector<IpNet>& nets) {
  const Saved saved = save(family);
  const std::string chain = chain_name(target);
  std::string commands;
  // Declaring an existing chain would flush it, and with it another interface of this container.
  if (!saved.has_chain(chain)) commands += concat(":", chain, " - [0:0]\n");
  const std::string masquerade = masquerade_rule(target, family);
  if (!saved.has_rule(masquerade)) commands += concat(masquerade, "\n");
  std::vector<std::string> accepted;
  for (const IpNet& net : nets) {
    const std::string accept = accept_rule(target, net);
    const bool repeated = std::ranges::find(accepted, accept) != accepted.end();
    // In front of the masquerading, wherever that stands.
    if (!repeated && !saved.has_rule(accept)) commands += as_command("-I", accept);
    accepted.push_back(accept);
    const std::string jump = jump_rule(target, net.address);
    if (!saved.has_rule(jump)) commands += concat(jump, "\n");
  }
  restore(family, commands);
}

void remove_family(const Target& target, Family family, const std::vector<IpAddress>& addresses) {
  const Saved saved = save(family);
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
    if (wanted) commands += as_command("-D", rule);
  }
  if (!others && saved.has_chain(chain)) commands += drop_chain(chain);
  restore(family, commands);
}

nft::Table nat_table(Family family) {
  return {family == Family::kV4 ? nft::TableFamily::kIpv4 : nft::TableFamily::kIpv6, "nat"};
}

/// iptables-legacy keeps its tables outside nf_tables; the kernel lists their names.
bool has_legacy_nat(Family family) {
  const std::string path =
      concat("/proc/net/", family == Family::kV4 ? "ip" : "ip6", "_tables_names");
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  return fd.valid() && read_all(fd.get(), path).find("nat") != std::string::npos;
}

bool has_nft_chain(Host& host, const Target& target, Family family) {
  return host.has_nft() && nft::has_chain(host.nft(), nat_table(family), chain_name(target));
}

/// Legacy rules cannot be asked for without the programs; and without them nobody of ours made any.
bool may_have_legacy_chain(Family family) {
  if (!has_legacy_nat(family)) return false;
  try {
    static_cast<void>(find_program(concat(program_prefix(family), "-save")));
    return true;
  } catch (const Error& error) {
    log::warn(
        concat("the kernel has iptables-legacy rules, which are not looked at: ", error.what()));
    return false;
  }
}

bool may_exist_in(Host& host, const Target& target, Family family) {
  return has_nft_chain(host, target, family) || may_have_legacy_chain(family);
}

constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

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
  const Saved saved = save(family);
  std::string jumps;
  std::vector<std::string> chains;
  for (const std::string& rule : saved.rules) {
    const std::string id = container_of(rule, network);
    if (id.empty() || keep(id)) continue;
    const std::string chain = chain_name({std::string(network), id});
    if (is_jump_to(rule, chain)) jumps += as_command("-D", rule);
    const bool known = std::ranges::find(chains, chain) != chains.end();
    if (saved.has_chain(chain) && !known) chains.push_back(chain);
  }
  for (const std::string& chain : chains) jumps += drop_chain(chain);
  restore(family, jumps);
}

}  // namespace

void add(const Target& target, const std::vector<IpNet>& addresses) {
  for (const Family family : kFamilies) {
    const std::vector<IpNet> nets = of_family(addresses, family);
    if (!nets.empty()) add_family(target, family, nets);
  }
}

void remove(Host& host, const Target& target, const std::vector<IpAddress>& addresses) {
  for (const Family family : kFamilies) {
    if (may_exist_in(host, target, family)) remove_family(target, family, addresses);
  }
}

void check(const Target& target, const std::vector<IpNet>& addresses) {
  for (const Family family : kFamilies) {
    const std::vector<IpNet> nets = of_family(addresses, family);
    if (nets.empty()) continue;
    const Saved saved = save(family);
    std::vector<std::string> wanted{masquerade_rule(target, family)};
    for (const IpNet& net : nets) {
      wanted.push_back(accept_rule(target, net));
      wanted.push_back(jump_rule(target, net.address));
    }
    for (const std::string& rule : wanted) {
      if (saved.has_rule(rule)) continue;
      throw Error(ErrorCode::kMismatch, concat("masquerading: the ", program_prefix(family),
                                               " nat rule ", quote(rule), " is missing"));
    }
  }
}

void collect(Host& host, std::string_view network,
             const std::function<bool(std::string_view container_id)>& keep) {
  for (const Family family : kFamilies) {
    std::vector<std::string> chains;
    if (host.has_nft()) chains = nft::list_chains(host.nft(), nat_table(family));
    const bool any = std::ranges::any_of(chains, [](const std::string& chain) {
      return chain.starts_with(kPrefix) && chain.size() == kPrefix.size() + kHashDigits;
    });
    if (any || may_have_legacy_chain(family)) collect_family(family, network, keep);
  }
}

bool may_exist(Host& host, const Target& target) {
  return std::ranges::any_of(kFamilies,
                             [&](Family family) { return may_exist_in(host, target, family); });
}

void require_available() {
  for (const Family family : kFamilies) {
    static_cast<void>(find_program(concat(program_prefix(family), "-save")));
    static_cast<void>(find_program(concat(program_prefix(family), "-restore")));
  }
}

}  // namespace cni::iptables
