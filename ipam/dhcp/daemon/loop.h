// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "base/fd.h"
#include "lease.h"

namespace cni::dhcp {

/// One thread waits for everything: descriptors and one alarm.
class Loop {
 public:
  using Handler = std::function<void(std::uint32_t events)>;

  Loop();
  /// EPOLLIN and EPOLLOUT as `events`; in place of an earlier wish for this descriptor.
  void watch(int fd, std::uint32_t events, Handler handler);
  /// Before it is closed. A descriptor that is not watched is fine.
  void forget(int fd) noexcept;
  /// Waits for the next event, until `alarm` at most, and calls its handler, with a Deadline
  /// of its own. Handlers may watch and forget what they like.
  void turn(Time alarm);

  [[nodiscard]] static Time now() noexcept;

 private:
  Fd epoll_, timer_;
  std::map<int, Handler> handlers_;
};

}  // namespace cni::dhcp
