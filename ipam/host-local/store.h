// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/file_lock.h"
#include "index.h"
#include "lease.h"
#include "liveness.h"

namespace cni::host_local {

/// The lease files of one network, locked against every other user of them, the reference plugin
/// included, for as long as the object lives. The files are the truth; an index beside the
/// directory makes finding them cheap. It is kept right as leases come and go, and made anew when
/// it is not.
class [[nodiscard]] Store {
 public:
  Store(Store&&) noexcept = default;
  Store& operator=(Store&&) = delete;
  ~Store();

  /// Creates the directory and the lock file where missing.
  static Store open(const std::string& data_dir, const std::string& network);
  /// nullopt when the network has no directory: it has no leases then. Creates nothing but the
  /// lock.
  static std::optional<Store> open_if_exists(const std::string& data_dir,
                                             const std::string& network);

  /// Throws unless the disk lets a lease be made.
  static void require_writable(const std::string& data_dir, const std::string& network);

  /// The leases of exactly this attachment; without any, those of the old format with its id.
  [[nodiscard]] std::vector<Lease> find(const Attachment& owner);
  /// The lease of this address, with its stamp.
  [[nodiscard]] std::optional<Lease> find(const IpAddress& address) const;
  /// The first address of [lo, hi] without a lease file.
  [[nodiscard]] std::optional<IpAddress> next_free(const IpAddress& lo, const IpAddress& hi);
  /// All files with an address for a name, with their stamps.
  [[nodiscard]] std::vector<Lease> scan();
  /// The same in brief, from the index; the files are read if that was not done in the last minute.
  [[nodiscard]] std::vector<Brief> survey();
  /// Makes the index anew from the files, unless this object has done so before. True when it did.
  bool refresh();
  /// The index was made anew from the files by this object.
  [[nodiscard]] bool fresh() const noexcept { return fresh_; }
  /// The judge of these leases.
  [[nodiscard]] Liveness liveness() const;

  /// Makes the lease file appear whole, or not at all. False when the address is taken. `netns`:
  /// what the lease is made for.
  bool claim(const IpAddress& address, const Attachment& owner, const NetNsIdentity& netns);
  /// Removes the lease file. Already gone is fine.
  void release(const Lease& lease);

  /// The address last handed out from a range set; nullopt when there is none that can be read.
  [[nodiscard]] std::optional<IpAddress> last_reserved(std::size_t set) const;
  void set_last_reserved(std::size_t set, const IpAddress& address);

  [[nodiscard]] std::string network() const { return path_.substr(data_dir_.size() + 1); }
  [[nodiscard]] std::string path_of(const IpAddress& address) const;

 private:
  Store(std::string data_dir, const std::string& network, Fd dir, FileLock lock);
  [[nodiscard]] std::optional<Lease> read_lease(const std::string& name, bool with_stamp) const;
  std::vector<Lease> read_all_leases(bool with_stamps);
  [[nodiscard]] std::optional<Index::State> stamp_directory() const;
  void save_index();

  std::string data_dir_;
  std::string path_;
  std::string index_path_;
  std::string boot_;
  Fd dir_;
  FileLock lock_;
  Index::State state_;  // of the directory when the lock was taken
  Index index_;
  bool fresh_ = false;      // the index was made from the files by this process
  bool unsettled_ = false;  // the directory was changed and the index does not know it yet
};

}  // namespace cni::host_local
