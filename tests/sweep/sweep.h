// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/fixture.h"
#include "support/command.h"

/// What the sweeps share: strace makes the system calls of a plugin's verb fail, or kills it at
/// one. The plugin knows nothing of it.
namespace cni::test {

/// A system call of a program; strace counts each by its name.
struct Point {
  std::string call;  // several, between commas, count together
  int occurrence = 0;
  /// strace's option that does `what` ("signal=KILL", "error=EIO") at this call.
  [[nodiscard]] std::string injection(std::string_view what) const;
};

/// A call of a plugin whose system calls are interfered with.
class Victim {
 public:
  /// Skips the test where strace may not trace. `name` is for messages.
  Victim(const TestHost& host, std::string name, Command command);
  Victim(const TestHost& host, const Attachment& caller, const std::string& verb);
  /// Interfered with is not the caller but host-local, which it starts for its verb.
  [[nodiscard]] static Victim ipam_of(const TestHost& host, Attachment caller,
                                      const std::string& verb);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Makes the call with this option of strace's ("inject=...", "trace=all").
  Output run(const std::string& option) const;  // NOLINT(modernize-use-nodiscard)
  /// Whether the last run met its injection.
  [[nodiscard]] bool injected() const;
  /// The system calls of the last run, which was traced, in order.
  [[nodiscard]] std::vector<Point> calls() const;

 private:
  std::string name_;
  Command command_;
  std::string log_;
  std::string option_file_ = {};  // where the stand-in for the IPAM plugin finds strace's option
};

/// What a sweep does before and after each run of its victim.
struct Around {
  std::function<void()> prepare = [] {};
  /// Clears up, however the run ended; says what is wrong and what is left then: "" for nothing.
  std::function<std::string(const Output&)> clean_up;
};

/// "NAME: output" of a call that failed, "" of one that did not.
[[nodiscard]] std::string failure(std::string_view name, const Output& output);

/// Kills the victim at each `sampled`-th of its system calls; at all if the sweep is full.
void kill_at_calls(const Victim& victim, const Around& around, std::size_t sampled);

struct Fault {
  std::string call, error;  // the call as in Point; "EIO"
};

/// Lets the victim's first three of these calls fail, and each `sampled`-th after them (all if the
/// sweep is full), one in a run, until a run has no more of them. In how many runs the verb failed.
int fail_calls(const Victim& victim, const Around& around, const Fault& fault, int sampled);

}  // namespace cni::test
