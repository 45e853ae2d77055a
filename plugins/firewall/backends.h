// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rollback.h"
#include "firewall_config.h"
#include "forward_filter.h"
#include "host/host.h"
#include "isolation.h"
#include "model/owner.h"
#include "model/result.h"

namespace cni::firewall {

/// What ADD, CHECK and a later ADD agree on.
struct Job {
  const Request& request;
  Config conf;
  Owner owner;
  Result previous;
  Host host;
  isolation::Place place;
  std::vector<IpAddress> addresses;

  /// Throws Error{kInvalidConfig} without prevResult, or where a policy has no place.
  explicit Job(const Request& r);
};

/// What DEL and GC know.
struct Leaving {
  Host& host;
  const Config& conf;
};

using Keep = std::function<bool(std::string_view tag)>;

/// Who lets forwarded packets through. DEL and GC go through all of them: it may have been another
/// one at ADD.
struct Backend {
  std::string_view name;
  /// Whether this is the kind of filter that it can tell what to accept.
  ForwardFilter::Kind tells;
  /// Idempotent; on failure nothing of this call is left.
  void (*add)(Job&, Rollback&);
  /// Throws Error{kMismatch}. `ours`: not the reference's, which has other forms.
  void (*check)(Job&, bool ours);
  void (*remove)(Leaving, const Owner&, const std::vector<IpAddress>& addresses);
  void (*collect)(Leaving, std::string_view network, const Keep& keep);
  /// Removes what is shared when nobody needs it.
  void (*remove_unused)(Leaving);
  /// Throws Error{kNotAvailable}.
  void (*require_usable)(Host&);
  /// Whether a policy is kept by nf_tables tables of our own. iptables can keep same-bridge, but
  /// not inside a bridge.
  bool (*isolates_with_nft)(Host&, isolation::Policy);
};
extern const std::array<Backend, 3> kBackends;

/// Who has to let the packets through, and who else would have to.
struct Plan {
  const Backend* backend = nullptr;
  std::vector<ForwardFilter> obstacles;  // drop forwarded packets, and cannot be told otherwise
};
[[nodiscard]] Plan plan(Host& host, const Config& conf);

}  // namespace cni::firewall
