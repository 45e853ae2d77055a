// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ipam/disk_model.h"
#include "ipam/traced.h"

namespace cni::test {

/// All changes that calls make to the disk below a directory. A system call that could change
/// something and is not understood fails the test, and so does a disk that differs from its model.
class Recording {
 public:
  /// What is below the directory now is synced. `attribute`: the extended one that is looked at.
  Recording(std::filesystem::path root, std::string attribute);
  void run(const Call& call, const std::string& conf, const std::vector<Refusal>& refusals = {});

  /// What was there at the beginning, and what happened since.
  [[nodiscard]] const Disk& before() const noexcept { return before_; }
  [[nodiscard]] const std::vector<Change>& changes() const noexcept { return changes_; }

 private:
  std::filesystem::path root_;
  std::string attribute_;
  Disk before_;
  Disk after_;
  std::vector<Change> changes_;
};

}  // namespace cni::test
