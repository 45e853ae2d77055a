// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/fd.h"

namespace cni {

/// A network namespace, held by a descriptor: it cannot be replaced or vanish while we work on it.
class NetNs {
 public:
  /// Opens once and checks that it is a network namespace (nsfs magic and NS_GET_NSTYPE). Throws
  /// Error: kUnknownContainer when the path does not exist, kInvalidNetns when it is something
  /// else.
  [[nodiscard]] static NetNs open(const std::string& path);
  /// nullopt when the path is empty, does not exist, or is not (any more) a network namespace: then
  /// nothing of a container can be in it. For DEL.
  [[nodiscard]] static std::optional<NetNs> open_if_exists(const std::string& path);
  /// The calling thread's.
  [[nodiscard]] static NetNs current();
  /// A new one that lives as long as this object: to try what the kernel can do, without the host.
  [[nodiscard]] static NetNs create();

  [[nodiscard]] bool same_as(const NetNs& other) const noexcept {
    return device_ == other.device_ && inode_ == other.inode_;
  }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// The next namespace may get the number as soon as this one is gone: see netns/identity.h.
  [[nodiscard]] ino_t inode() const noexcept { return inode_; }

  /// Runs fn with the calling thread in this namespace and returns there where it was; aborts the
  /// process if the way back fails, because going on in the wrong namespace would harm the host.
  template <typename F>
  auto run(F&& fn) const {
    return run_from(current(), std::forward<F>(fn));
  }
  /// The same for a caller who knows where the thread is: `home`.
  template <typename F>
  auto run_from(const NetNs& home, F&& fn) const {
    const Entered inside(*this, home);
    return fn();
  }

 private:
  class Entered {
   public:
    Entered(const NetNs& target, const NetNs& home);
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;
    ~Entered();

   private:
    const NetNs& home_;
  };

  [[nodiscard]] static NetNs describe(Fd fd, const std::string& path);
  NetNs(Fd fd, dev_t device, ino_t inode) noexcept
      : fd_(std::move(fd)), device_(device), inode_(inode) {}

  Fd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace cni
