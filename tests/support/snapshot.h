// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "support/netns.h"
#include "support/poll.h"

namespace cni::test {

/// The state of a namespace (and of the TestHost's files) as sorted lines of text,
/// "link cni0 mtu = 1500". Left out: what changes by itself or says nothing (interface indices,
/// handles, counters, timers, neighbours).
struct Snapshot {
  std::vector<std::string> lines;

  /// Only the lines that begin with one of these words ("link", "addr", "nft").
  [[nodiscard]] Snapshot only(std::string_view sections) const;
  /// With every occurrence of the keys replaced: names and MACs that differ between two runs.
  [[nodiscard]] Snapshot renamed(const std::map<std::string, std::string>& names) const;
  /// Without the address that host-local gave last, where its next search starts.
  [[nodiscard]] Snapshot without_hints() const;
  /// Without what is kept on purpose below /var/lib/cni: directories, lock files, the address
  /// that host-local gave last and its index of leases.
  [[nodiscard]] Snapshot without_memory() const;
  [[nodiscard]] std::string text() const;
  /// True when a line contains `text`.
  [[nodiscard]] bool mentions(std::string_view text) const;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

/// Sections: link, addr, route, rule, qdisc, fdb, vlan, nft, iptables, sysctl.
[[nodiscard]] Snapshot snapshot_network(const TestNamespace& net);
/// snapshot_network of the current TestHost, and: file (the trees of /run and /var/lib/cni with
/// content), netns (names in /run/netns).
[[nodiscard]] Snapshot snapshot_host();

/// A JSON document in the same form: "<section> ips[0].address = ...".
[[nodiscard]] Snapshot snapshot_of(const JsonRef& json, const std::string& section);

/// "" when equal; else lines that are only in `before` ("-") or only in `after` ("+").
[[nodiscard]] std::string difference(const Snapshot& before, const Snapshot& after);
/// Takes snapshots of the host until one equals `before`, memory aside; the last difference. The
/// kernel finishes removals in its own time.
[[nodiscard]] std::string difference_in_the_end(const Snapshot& before,
                                                std::chrono::milliseconds patience = kPatience);

}  // namespace cni::test
