// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <string_view>

namespace cni {

/// The time by which the running verb must have ended. One per process, monotonic clock; every wait
/// (locks, delegates, netlink answers, link events) is bounded by it.
class Deadline {
 public:
  static constexpr std::chrono::seconds kDefault{30};

  static void start(std::chrono::milliseconds budget) noexcept;
  /// Gives undo steps at least 10 s from now.
  static void extend_for_cleanup() noexcept;
  /// Never negative.
  [[nodiscard]] static std::chrono::milliseconds remaining() noexcept;
  [[nodiscard]] static bool passed() noexcept { return remaining().count() == 0; }
  /// Throws Error{kTryAgain} naming what was waited for.
  [[noreturn]] static void expired(std::string_view what);
};

}  // namespace cni
