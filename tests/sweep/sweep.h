// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plugins/fixture.h"

/// What the sweeps share: strace makes a verb's system calls fail, or kills it at one. The plugin
/// knows nothing of it.
namespace cni::test {

/// A system call of a program; strace counts each by its name.
struct Point {
  std::string call;  // several, between commas, count together
  int occurrence = 0;
  /// strace's option that does `what` ("signal=KILL", "error=EIO") at this call.
  [[nodiscard]] std::string injection(std::string_view what) const;
};

/// A host with a sandbox to attach and, unless told otherwise, a neighbour on the same bridge, so
/// that what is shared does not change. It remembers how it looks without the attachment.
class Ground {
 public:
  enum class Bridge : unsigned char { kInUse, kNone };
  /// `more`: members of the plugin's configuration besides those of kDualStack.
  explicit Ground(std::string_view more = R"("macspoofchk":true)", Bridge bridge = Bridge::kInUse,
                  const std::string& plugin = "bridge");

  [[nodiscard]] const TestHost& host() const noexcept { return host_; }
  [[nodiscard]] const Attachment& attachment() const noexcept { return attachment_; }
  /// Where plugins are found from now on (CNI_PATH).
  void set_plugin_path(const std::string& path) { attachment_.plugin_path = path; }
  void set_environment(std::vector<std::string> env) { attachment_.env = std::move(env); }
  /// What to call for the verb: GC with the neighbour as the only valid attachment.
  [[nodiscard]] Attachment caller(std::string_view verb) const;

  /// The state the verb is called in: attached, but for ADD.
  void prepare(std::string_view verb) const;
  /// How host and container differ from before, or the processes that are left; "" if in nothing.
  [[nodiscard]] std::string leftovers() const;
  /// The verbs must succeed; then nothing is left. Says what is wrong.
  [[nodiscard]] std::string clean_up(const std::vector<std::string>& verbs) const;
  /// Whether an address of the attachment was released while its host veth is there.
  [[nodiscard]] bool released_too_early() const;

 private:
  TestHost host_;
  TestSandbox neighbour_{"c0"}, sandbox_{"c1"};
  std::vector<std::string> valid_;
  Attachment attachment_;
  std::string veth_;
  std::size_t leases_without_ = 0, leases_with_ = 0;
  Snapshot host_before_, container_before_;
};

/// A verb of the attachment whose system calls, or those of its IPAM plugin, are interfered with.
class Victim {
 public:
  enum class Program : unsigned char { kPlugin, kIpam };
  /// For kIpam a stand-in for host-local is installed. Skips the test where strace may not trace.
  Victim(Ground& on, std::string verb, Program program = Program::kPlugin);

  [[nodiscard]] const std::string& verb() const noexcept { return verb_; }
  /// Runs the verb with this option of strace's ("inject=...", "trace=all").
  Output run(const std::string& option) const;  // NOLINT(modernize-use-nodiscard)
  /// Whether the last run met its injection.
  [[nodiscard]] bool injected() const;
  /// All system calls of the program in a run that must succeed, in order.
  [[nodiscard]] std::vector<Point> calls() const;

 private:
  const Ground& on_;
  std::string verb_;
  Program program_;
  std::string log_, option_file_;
};

}  // namespace cni::test
