// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "host/xtables.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "nft/table.h"

namespace cni::xtables {
namespace {

constexpr std::string_view kFallbackPath = "/usr/sbin:/sbin:/usr/bin:/bin";

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
              "the backend \"iptables\" needs the iptables programs; \"nftables\" needs none");
}

std::string run(const std::string& name, const std::vector<std::string>& arguments,
                std::string_view input) {
  const std::string path = find_program(name);
  const log::Step timed(concat("run ", name));
  std::vector<std::string> argv{path};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const RunResult result = run_process(path, argv, current_environment(), input);
  if (!result.status.ok()) {
    throw Error(ErrorCode::kKernel, concat(name, " failed: ", result.status.text()), result.words);
  }
  return result.output;
}

nft::Table nft_table(Family family, std::string_view table) {
  return {family == Family::kV4 ? nft::TableFamily::kIpv4 : nft::TableFamily::kIpv6,
          std::string(table)};
}

/// iptables-legacy keeps its tables outside nf_tables; the kernel lists their names, one a line.
bool has_legacy_table(Family family, std::string_view table) {
  const std::string path =
      concat("/proc/net/", family == Family::kV4 ? "ip" : "ip6", "_tables_names");
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  return fd.valid() && concat("\n", read_all(fd.get(), path)).find(concat("\n", table, "\n")) !=
                           std::string::npos;
}

}  // namespace

bool Ruleset::has_chain(std::string_view name) const {
  return std::ranges::find(chains, name) != chains.end();
}

bool Ruleset::has_rule(std::string_view rule) const {
  return std::ranges::find(rules, rule) != rules.end();
}

std::string_view program(Family family) noexcept {
  return family == Family::kV4 ? "iptables" : "ip6tables";
}

Ruleset parse_ruleset(std::string_view text) {
  Ruleset out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.starts_with("-A ")) out.rules.emplace_back(line);
    if (line.starts_with(":")) out.chains.emplace_back(line.substr(1, line.find(' ') - 1));
  }
  return out;
}

Ruleset save(Family family, std::string_view table) {
  return parse_ruleset(run(concat(program(family), "-save"), {"-t", std::string(table)}, {}));
}

void restore(Family family, std::string_view table, const std::string& commands) {
  if (commands.empty()) return;
  run(concat(program(family), "-restore"), {"--noflush", "-w"},
      concat("*", table, "\n", commands, "COMMIT\n"));
}

std::string as_command(std::string_view command, std::string_view rule) {
  return concat(command, rule.substr(2), "\n");
}

std::string declare_chain(std::string_view chain) { return concat(":", chain, " - [0:0]\n"); }

std::string drop_chain(std::string_view chain) {
  return concat("-F ", chain, "\n-X ", chain, "\n");
}

bool may_have_chain(Host& host, Family family, std::string_view table, std::string_view chain) {
  return (host.has_nft() && nft::has_chain(host.nft(), nft_table(family, table), chain)) ||
         may_have_legacy_table(family, table);
}

std::vector<std::string> nft_chains(Host& host, Family family, std::string_view table) {
  if (!host.has_nft()) return {};
  return nft::list_chains(host.nft(), nft_table(family, table));
}

bool may_have_legacy_table(Family family, std::string_view table) {
  if (!has_legacy_table(family, table)) return false;
  try {
    static_cast<void>(find_program(concat(program(family), "-save")));
    return true;
  } catch (const Error& error) {
    // Nobody of ours made rules there without the programs.
    log::warn(
        concat("the kernel has iptables-legacy rules, which are not looked at: ", error.what()));
    return false;
  }
}

void require_available() {
  for (const Family family : kFamilies) {
    static_cast<void>(find_program(concat(program(family), "-save")));
    static_cast<void>(find_program(concat(program(family), "-restore")));
  }
}

}  // namespace cni::xtables
