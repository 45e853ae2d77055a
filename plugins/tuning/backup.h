// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/owner.h"
#include "netns/identity.h"
#include "settings.h"

namespace cni::tuning {

/// What stood in the container before its attachment was tuned.
struct Backup {
  Settings settings;
  std::string owner;  // tag; empty: written by the reference
  NetNsIdentity netns;

  /// False when it is about another namespace, one that had the same container's id.
  [[nodiscard]] bool is_about(const NetNsIdentity& other) const noexcept {
    return netns.compare(other) != NetNsIdentity::Match::kOther;
  }
};

/// DATADIR/CONTAINERID_IFNAME.json, the reference's file: its members are mac, mtu, promisc,
/// allmulti and txQLen. What it has no members for is in a member "cnipp", which it passes over.
/// Where that file is another attachment's (the container "a" with "b_c", "a_b" with "c"), or its
/// name too long for a file, it is DATADIR/OWNERTAG.json.
class BackupFile {
 public:
  BackupFile(std::string dir, const Owner& owner, std::string_view container_id,
             std::string_view ifname);

  /// The attachment's own. nullopt when there is none, or when it cannot be understood (which is
  /// logged).
  [[nodiscard]] std::optional<Backup> load() const;
  /// Replaces the file as a whole, making the directory.
  void save(const Backup& backup) const;
  /// Removes the attachment's own, and what a killed save left beside it. Succeeds when there is
  /// none.
  void remove() const;

 private:
  [[nodiscard]] bool is_anothers(const std::string& path) const;

  std::string dir_;
  std::string owner_;
  std::string name_;      // the reference's
  std::string own_name_;  // which nobody else has
};

/// For GC: removes the files of attachments of the network that are not in `valid`. Files of the
/// reference do not say whose they are, and stay.
void collect_backups(const std::string& dir, std::string_view network, const OwnerSet& valid);

}  // namespace cni::tuning
