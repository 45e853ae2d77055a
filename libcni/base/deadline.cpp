// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/deadline.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"

namespace cni {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kCleanup{10};

constinit std::chrono::milliseconds budget = Deadline::kDefault;
constinit Clock::time_point end{};  // epoch: not started

}  // namespace

void Deadline::start(std::chrono::milliseconds new_budget) noexcept {
  budget = new_budget;
  end = Clock::now() + budget;
}

void Deadline::extend_for_cleanup() noexcept { end = std::max(end, Clock::now() + kCleanup); }

std::chrono::milliseconds Deadline::remaining() noexcept {
  if (end == Clock::time_point{}) start(budget);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  return std::max(left, std::chrono::milliseconds{0});
}

void Deadline::expired(std::string_view what) {
  throw Error(ErrorCode::kTryAgain, concat("deadline passed: ", what),
              concat("the verb's time is ", budget.count(),
                     " ms (configuration key \"timeoutSeconds\", environment "
                     "CNI_TIMEOUT_SECONDS)"));
}

}  // namespace cni
