// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"
#include "netlink/saved.h"
#include "netlink/socket.h"

/// Rules: which routing table a packet is looked up in.
namespace cni::netlink {

/// "from SOURCE lookup TABLE"
struct Rule {
  IpNet source;
  unsigned table = 0;
  std::optional<unsigned> priority;  // else the kernel puts it before all others
  std::uint8_t protocol = 0;         // who makes it
  friend bool operator==(const Rule&, const Rule&) = default;
};

/// A rule as the kernel has it.
struct KernelRule {
  Family family = Family::kV4;
  std::optional<IpNet> source;
  unsigned table = 0;  // 0: it does not look up a table
  unsigned priority = 0;
  std::uint8_t protocol = 0;  // RTPROT_*: who made it
  bool only_source = false;   // nothing else decides whether it applies
  Saved saved;                // as the kernel told it
};
[[nodiscard]] std::vector<KernelRule> list_rules(Socket& socket);

/// EEXIST when there is this rule with this priority.
[[nodiscard]] Message new_rule(const Rule& rule);
/// ENOENT when there is none.
[[nodiscard]] Message delete_rule(const KernelRule& rule);

[[nodiscard]] std::string text(const Rule& rule);

}  // namespace cni::netlink
