// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string_view>
#include <vector>

#include "base/rollback.h"
#include "host/host.h"
#include "model/config.h"
#include "model/owner.h"
#include "model/result.h"
#include "protocol/request.h"

/// Masquerading whichever way it is done: our own nf_tables table, iptables as the reference does
/// it, and what is only checked and removed: the reference's nftables rules, our first layout.
namespace cni::masquerade {

struct Backend;

/// The keys "ipMasq", "ipMasqBackend" and "ipMasqExclude".
struct Settings {
  bool v4 = false, v6 = false;
  const Backend* backend = nullptr;
  std::vector<IpNet> exclude;  // destinations to which nothing is translated

  /// Reads and checks everything. Throws Error{kInvalidConfig}.
  [[nodiscard]] static Settings parse(const JsonRef& conf);
  [[nodiscard]] bool any() const noexcept { return v4 || v6; }
};

/// Whether "ipMasq" asks for anything, in a configuration that ADD has taken.
[[nodiscard]] bool is_wanted(const JsonRef& conf);

/// Masquerades these addresses, each with its prefix, as far as the settings say. Idempotent.
void add(Host& host, const Request& request, const Settings& settings,
         const std::vector<IpNet>& addresses);
/// The same for a new attachment: `rollback` undoes it.
void add(Host& host, const Request& request, const Settings& settings,
         const std::vector<IpNet>& addresses, Rollback& rollback);
/// Of every backend, whatever the configuration says now. `likely` are addresses the attachment may
/// have had: iptables' rules do not know interfaces.
void remove(Host& host, const Request& request, const std::vector<IpAddress>& likely);
/// Succeeds for what the reference or an earlier version made, too. Throws Error{kMismatch}.
void check(Host& host, const Request& request, const Settings& settings,
           const std::vector<IpNet>& addresses);

/// For GC: removes what belongs to attachments of the network that are not in `valid`.
void collect(Host& host, std::string_view network, const OwnerSet& valid);
/// Throws when the backend cannot be used here.
void probe(Host& host, const Settings& settings);

}  // namespace cni::masquerade
