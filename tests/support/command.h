// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/process.h"
#include "model/json.h"
#include "support/netns.h"

namespace cni::test {

/// A program to run. argv[0] is looked up in the test's PATH.
struct Command {
  std::vector<std::string> argv;
  std::vector<std::string> env = {};  // the whole environment; empty: the test's own
  std::string input = {};
  const TestNamespace* net = nullptr;  // nullptr: where the caller is
  std::chrono::seconds patience{60};   // then it is killed, which shows in `status`
};

struct Output {
  ExitStatus status;
  std::string out, err;

  [[nodiscard]] bool ok() const noexcept { return status.ok(); }
  /// stdout as JSON; throws Error{kDecode} with the output in it.
  [[nodiscard]] Json json() const;
  /// For INFO(): status, stdout and stderr.
  [[nodiscard]] std::string text() const;
};

/// A started program; killed and reaped by the destructor.
class [[nodiscard]] Process {
 public:
  static Process start(const Command& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  [[nodiscard]] int pid() const noexcept { return pid_; }
  void send(int signal) const;
  Output wait();

 private:
  Process(int pid, Fd out, Fd err, std::chrono::seconds patience) noexcept
      : pid_(pid), out_(std::move(out)), err_(std::move(err)), patience_(patience) {}
  int pid_ = -1;
  Fd out_, err_;
  std::chrono::seconds patience_;
};

Output run(const Command& command);
/// All at the same time; results in the order of `commands`.
std::vector<Output> run_parallel(const std::vector<Command>& commands);

/// Runs a tool that must succeed: throws Error with its output otherwise. Returns its stdout. The
/// line is split at blanks; no shell is involved.
std::string tool(std::string_view line, const TestNamespace* net = nullptr);
/// The same for a tool that prints JSON ("ip -j ..."). No output counts as [].
Json tool_json(std::string_view line, const TestNamespace* net = nullptr);
/// The same for several commands of iproute2's in one process: "ip -j" with {"link", "rule"}.
std::vector<Json> tool_json_batch(std::string_view line, const std::vector<std::string>& commands,
                                  const TestNamespace* net = nullptr);

}  // namespace cni::test
