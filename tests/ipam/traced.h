// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
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

/// A system call that has ended, of a process that waits for us.
struct SystemCall {
  pid_t process = 0;
  long number = -1;
  std::array<std::uint64_t, 6> arguments{};
  std::int64_t result = 0;  // negative: an errno

  [[nodiscard]] int descriptor(std::size_t argument) const {
    return static_cast<int>(arguments.at(argument));
  }
  /// What the argument points to.
  [[nodiscard]] std::string bytes(std::size_t argument, std::size_t size) const;
  [[nodiscard]] std::string text(std::size_t argument) const;
};

/// Shows every system call that the call makes after its start on a kernel that refuses these; it
/// must succeed.
void watch(const Call& call, const std::string& conf, const std::vector<Refusal>& refusals,
           const std::function<void(const SystemCall&)>& visit);

}  // namespace cni::test
