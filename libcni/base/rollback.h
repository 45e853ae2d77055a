// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace cni {

/// Undo steps of a verb. Unless commit() was called, the destructor runs them, last registered
/// first; a step that fails is logged and the others still run.
class [[nodiscard]] Rollback {
 public:
  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback();

  void on_failure(std::string what, std::function<void()> undo);
  void commit() noexcept { steps_.clear(); }

 private:
  std::vector<std::pair<std::string, std::function<void()>>> steps_;
};

}  // namespace cni
