// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/plugin.h"
#include "support/snapshot.h"

namespace cni::test {

/// A container c1 attached as eth0 by one of the two suites, on a fresh host of its own.
struct Experiment {
  std::string plugin = "bridge";
  std::string config;
  std::string args = {};                  // CNI_ARGS
  std::vector<std::string> prepare = {};  // tools to run on the host before
};

/// What an ADD and a DEL left, names and MACs made comparable, deliberate differences removed.
struct Outcome {
  bool added = false, deleted = false;
  std::string error;
  Snapshot result;    // of ADD
  Snapshot attached;  // host and container after ADD
  Snapshot detached;  // after DEL
};

[[nodiscard]] Outcome observe(const Experiment& experiment, const std::string& bin_dir);

/// Runs the experiment through both and checks that the outcomes are equal; ADD must succeed.
void check_same(const Experiment& experiment);
/// Both must refuse.
void check_refused_by_both(const Experiment& experiment);

}  // namespace cni::test
