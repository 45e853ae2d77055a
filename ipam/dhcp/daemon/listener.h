// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>

#include "base/fd.h"

namespace cni::dhcp {

/// The daemon's socket: systemd's, or its own, which goes with it. Holds the lock that keeps a
/// second daemon away from the same path.
class Listener {
 public:
  /// `directory` is where the lock is; it exists. Throws Error when another daemon is there.
  Listener(std::string path, const std::string& directory);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// The next caller, not blocking; invalid when there is none.
  [[nodiscard]] Fd accept() const;

 private:
  std::string path_;
  Fd lock_, fd_;
  bool is_own_ = false;
};

}  // namespace cni::dhcp
