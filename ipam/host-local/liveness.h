// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "lease.h"
#include "netns/survey.h"

namespace cni::host_local {

/// What can be said of the attachment a lease was made for.
enum class Life {
  kAlive,    // its network namespace exists
  kUnknown,  // nothing speaks against it
  kSuspect,  // the clock says that it was made before this boot; clocks can be wrong
  kDead,     // it cannot exist any more
};

/// Tells the leases of the living from those of the dead. Dead is only what is proven: made under
/// another boot id, made for a network namespace that is gone, or a file that is no lease and was
/// none when we made it. Where the kernel does not tell a namespace from the next one with its
/// number, one without the address counts as the next one, for leases that are not new.
class Liveness {
 public:
  /// `only_this_host`: the leases are on a disk that no other host writes to; boot ids mean nothing
  /// otherwise. Without `namespaces` they are looked for when first needed.
  Liveness(std::string boot, bool only_this_host, std::optional<NetNsSurvey> namespaces = {});

  [[nodiscard]] Life judge(const Lease& lease);
  [[nodiscard]] Life judge(const Brief& lease);

 private:
  [[nodiscard]] Life judge_namespace(const Brief& lease);

  std::string boot_;
  bool only_this_host_;
  Timestamp booted_;  // by today's clock
  std::optional<NetNsSurvey> namespaces_;
};

}  // namespace cni::host_local
