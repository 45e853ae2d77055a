// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace cni {

/// A flock(2) on a file or directory; released by the destructor and by the kernel when
/// the process dies. Waits within the verb's Deadline, then throws Error{kTryAgain} naming the
/// holder (from /proc/locks) where it can be told.
class [[nodiscard]] FileLock {
 public:
  /// Any number hold a shared lock at once, or one an exclusive one.
  enum class Kind : unsigned char { kExclusive, kShared };

  /// Opens path read-only, creating it with `mode`. Missing parent directories are an error.
  static FileLock acquire(const std::string& path, unsigned mode = 0600,
                          Kind kind = Kind::kExclusive);
  /// Locks an open descriptor; `path` is for messages.
  static FileLock acquire(Fd fd, const std::string& path, Kind kind = Kind::kExclusive);

  /// /run/cnipp/<name>.lock, for all processes of this suite; the folder is made where it is
  /// missing. Throws KernelError where the file cannot be had: on a read-only /run, behind a
  /// symbolic link. For what would damage others' state without the lock.
  [[nodiscard]] static FileLock of_suite(std::string_view name, Kind kind = Kind::kExclusive);
  /// As of_suite; but where the file cannot be had, that is said and the verb goes on.
  [[nodiscard]] static std::optional<FileLock> of_suite_if_possible(std::string_view name,
                                                                    Kind kind = Kind::kExclusive);
  /// Whether somebody holds that lock exclusively. False where it cannot be told.
  [[nodiscard]] static bool is_held(std::string_view name) noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  explicit FileLock(Fd fd) noexcept : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace cni
