// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/ip.h"

/// The tables of iptables and ip6tables through their programs, for hosts that insist: read with
/// one `iptables-save`, changed with one `iptables-restore --noflush -w`. The programs act in the
/// calling thread's namespace, which is the host's.
namespace cni::xtables {

/// One table of one family as iptables-save prints it.
struct Ruleset {
  std::vector<std::string> rules;   // "-A CHAIN ..."
  std::vector<std::string> chains;  // names

  [[nodiscard]] bool has_chain(std::string_view name) const;
  [[nodiscard]] bool has_rule(std::string_view rule) const;
};

/// What iptables-save printed; lines of other kinds are passed over.
[[nodiscard]] Ruleset parse_ruleset(std::string_view text);
/// Throws Error{kNotAvailable} when the program is missing.
[[nodiscard]] Ruleset save(Family family, std::string_view table);
/// Carries out lines of iptables-restore all together or not at all. Nothing is run when there are
/// none. Throws as save, and Error{kKernel} when they are refused.
void restore(Family family, std::string_view table, const std::string& commands);

// Lines for restore.

/// A rule with another command ("-D", "-I") in place of its "-A".
[[nodiscard]] std::string as_command(std::string_view command, std::string_view rule);
/// Of a chain that does not exist: an existing one would be flushed.
[[nodiscard]] std::string declare_chain(std::string_view chain);
[[nodiscard]] std::string drop_chain(std::string_view chain);

/// False when the kernel certainly has no such chain. Runs nothing: iptables-nft's tables are asked
/// for over netlink; where the kernel has iptables-legacy's table, which only its programs can
/// read, and these are here, the answer is true.
[[nodiscard]] bool may_have_chain(Host& host, Family family, std::string_view table,
                                  std::string_view chain);
/// The chains of iptables-nft's table.
[[nodiscard]] std::vector<std::string> nft_chains(Host& host, Family family,
                                                  std::string_view table);
/// Whether iptables-legacy has this table and its programs are here.
[[nodiscard]] bool may_have_legacy_table(Family family, std::string_view table);

/// Throws Error{kNotAvailable} when one of the programs is missing.
void require_available();

/// "iptables" or "ip6tables".
[[nodiscard]] std::string_view program(Family family) noexcept;

inline constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

}  // namespace cni::xtables
