// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <thread>

namespace cni::test {

inline constexpr std::chrono::seconds kPatience{20};

/// Evaluates `condition` until it holds or the time has passed; the last answer. For what the
/// kernel does in its own time (link state, removal of a namespace).
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace cni::test
