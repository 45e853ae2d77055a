// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/concat.h"
#include "base/fd.h"
#include "plugins/fixture.h"
#include "support/command.h"
#include "support/skip.h"

namespace cni::test {

/// A system call of a traced program: strace counts each by its name.
struct Point {
  std::string call;
  int occurrence = 0;
};

inline Output run_under_strace(Command command, const std::vector<std::string>& options) {
  command.argv.insert(command.argv.begin(), options.begin(), options.end());
  command.argv.insert(command.argv.begin(), "strace");
  return run(command);
}

/// Every system call that the command makes, in order; it must succeed.
inline std::vector<Point> trace(const TestHost& host, const Command& command) {
  const std::string log = concat(host.scratch(), "/trace");
  const Output output = run_under_strace(command, {"-o", log});
  if (!output.ok()) skip("strace is missing, or may not trace here: " + output.text());
  std::vector<Point> points;
  std::map<std::string, int> seen;
  std::istringstream lines(read_file(log));
  for (std::string line; std::getline(lines, line);) {
    const auto end = line.find('(');
    if (end == std::string::npos || line.find_first_of(" +-<") < end) continue;
    const std::string call = line.substr(0, end);
    points.push_back({call, ++seen[call]});
  }
  return points;
}

/// `what` is strace's: "signal=KILL", "error=ENOMEM".
inline Output run_with_injection(const Command& command, const Point& point,
                                 std::string_view what) {
  return run_under_strace(command,
                          {"-o", "/dev/null", "-e",
                           concat("inject=", point.call, ":", what, ":when=", point.occurrence)});
}

/// Every so many points, unless the sweep is to be full.
inline std::size_t sweep_step(std::size_t sampled) { return sweep_is_full() ? 1 : sampled; }

}  // namespace cni::test
