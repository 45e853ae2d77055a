// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lease.h"
#include "model/json.h"
#include "netns/identity.h"
#include "rpc.h"

/// What the daemon has to know again when it starts anew: a file for each lease in the directory
/// `<socket>.d`. Plugins read them too, and say there what is to be released when no daemon
/// answers.
namespace cni::dhcp {

struct LeaseRecord {
  std::string tag;  // the owner's (model/owner.h)
  std::string network;
  rpc::Call call;
  NetNsIdentity netns;  // the times count from the boot that it names
  int ifindex = 0;
  Mac mac;
  bool broadcast = false;
  Lease lease;

  [[nodiscard]] Json to_json() const;
  /// Throws Error naming what is missing.
  [[nodiscard]] static LeaseRecord parse(const JsonRef& json);
};

class LeaseFiles {
 public:
  /// Beside the daemon's socket.
  explicit LeaseFiles(std::string_view socket_path);

  /// Atomic: killed at any point it leaves the old record or the new one. A mark of an earlier
  /// lease goes.
  void save(const LeaseRecord& record) const;
  /// With the mark beside it.
  void remove(std::string_view tag) const;
  [[nodiscard]] bool has(std::string_view tag) const;
  /// nullopt when there is none; throws Error when it is damaged.
  [[nodiscard]] std::optional<LeaseRecord> find(std::string_view tag) const;
  /// The tags of all leases, sorted; none when there is no directory.
  [[nodiscard]] std::vector<std::string> list() const;

  /// The lease is to be released by the daemon when it is there again.
  void mark_for_release(std::string_view tag) const;
  [[nodiscard]] bool is_marked(std::string_view tag) const;

  /// A daemon of ours has used this directory.
  [[nodiscard]] bool exists() const;
  /// Made where it is missing.
  void ensure_directory() const;
  [[nodiscard]] const std::string& directory() const noexcept { return directory_; }

 private:
  [[nodiscard]] std::string path(std::string_view tag) const;
  [[nodiscard]] std::string mark(std::string_view tag) const;
  std::string directory_;
};

}  // namespace cni::dhcp
