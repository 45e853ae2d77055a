// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "lease.h"

namespace cni::host_local {

/// The first 16 hex digits of this boot's id; "" when it cannot be read.
[[nodiscard]] std::string current_boot();

/// The inode number of the network namespace at this path; 0 when it is none.
[[nodiscard]] std::uint64_t netns_inode(const std::string& path) noexcept;

/// What can be said of the attachment a lease was made for.
enum class Life {
  kAlive,    // its network namespace exists
  kUnknown,  // nothing speaks against it
  kSuspect,  // the clock says that it was made before this boot; clocks can be wrong
  kDead,     // it cannot exist any more
};

/// Tells the leases of the living from those of the dead. Dead is only what is proven: made under
/// another boot id, made for a network namespace that no process, mount or open file of this host
/// refers to any more, or a file that is no lease and was none when we made it.
class Liveness {
 public:
  struct Namespaces {
    std::unordered_set<std::uint64_t> inodes;
    bool complete = true;  // what is not in it does not exist
  };
  // PROC_PID_INIT_INO of the kernel: from the first PID namespace every process can be seen.
  static constexpr std::string_view kFirstPidNamespace = "pid:[4026531836]";
  /// All network namespaces that processes, their threads, open files and mounts refer to. Complete
  /// only from the PID namespace that sees all processes, and with the right to look at each.
  static Namespaces look_around(std::string_view sees_all = kFirstPidNamespace);

  /// `only_this_host`: the leases are on a disk that no other host writes to; boot ids mean nothing
  /// otherwise. Without `namespaces` they are looked for when first needed.
  Liveness(std::string boot, bool only_this_host, std::optional<Namespaces> namespaces = {});

  [[nodiscard]] Life judge(const Lease& lease);
  [[nodiscard]] Life judge(const Brief& lease);

 private:
  std::string boot_;
  bool only_this_host_;
  Timestamp booted_;  // by today's clock
  std::optional<Namespaces> namespaces_;
};

}  // namespace cni::host_local
