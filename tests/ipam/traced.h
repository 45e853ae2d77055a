// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <vector>

#include "ipam/fixture.h"

namespace cni::test {

/// Runs the call and kills it at the n-th stop at the beginning or the end of a system call. False
/// when it ended by itself before that.
bool kill_at(const Call& call, const std::string& conf, int n);

/// How many system calls the call makes; it must succeed.
int count_system_calls(const Call& call, const std::string& conf);

/// A system call that fails when all bits of `mask` are set in its argument.
struct Refusal {
  int number;
  unsigned argument;
  unsigned mask;
  int error;
};

/// Runs the call on a kernel that refuses these. The exit status.
int run_refusing(const Call& call, const std::string& conf, const std::vector<Refusal>& refusals);

}  // namespace cni::test
