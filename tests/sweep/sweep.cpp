// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "sweep/sweep.h"

#include <filesystem>
#include <map>
#include <sstream>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "support/catch.h"
#include "support/skip.h"

namespace cni::test {

std::string Point::injection(std::string_view what) const {
  return concat("inject=", call, ":", what, ":when=", occurrence);
}

Victim::Victim(const TestHost& host, std::string name, Command command)
    : name_(std::move(name)),
      command_(std::move(command)),
      log_(concat(host.scratch(), "/strace.log")) {
  const Output output =
      test::run({.argv = {"strace", "-o", "/dev/null", "-e", "trace=none", "true"}});
  if (!output.ok()) skip("strace is missing, or may not trace here");
}

Victim::Victim(const TestHost& host, const Attachment& caller, const std::string& verb)
    : Victim(host, concat(caller.plugin, " ", verb), caller.command(verb)) {}

Victim Victim::ipam_of(const TestHost& host, Attachment caller, const std::string& verb) {
  const std::string option_file = concat(host.scratch(), "/strace.option");
  const std::string real = concat(our_bin_dir(), "/host-local");
  Victim out(host, concat("host-local ", verb), {});
  caller.plugin_path =
      install_script(host, "host-local",
                     concat("[ $CNI_COMMAND = ", verb, " ] || exec ", real, "\nexec strace -o ",
                            out.log_, " -e \"$(cat ", option_file, ")\" ", real, "\n"));
  out.command_ = caller.command(verb);
  out.option_file_ = option_file;
  return out;
}

Output Victim::run(const std::string& option) const {
  std::filesystem::remove(log_);
  Command command = command_;
  if (option_file_.empty()) {
    const std::vector<std::string> strace = {"strace", "-o", log_, "-e", option};
    command.argv.insert(command.argv.begin(), strace.begin(), strace.end());
  } else {
    write_file_atomically(option_file_, option, 0644);
  }
  return test::run(command);
}

bool Victim::injected() const {
  return std::filesystem::exists(log_) && read_file(log_).find("(INJECTED)") != std::string::npos;
}

std::vector<Point> Victim::calls() const {
  std::vector<Point> points;
  std::map<std::string, int> seen;
  std::istringstream lines(read_file(log_));
  for (std::string line; std::getline(lines, line);) {
    const auto end = line.find('(');
    if (end == std::string::npos || line.find_first_of(" +-<") < end) continue;
    const std::string call = line.substr(0, end);
    points.push_back({call, ++seen[call]});
  }
  return points;
}

std::string failure(std::string_view name, const Output& output) {
  return output.ok() ? "" : concat(name, ": ", output.text(), "\n");
}

void kill_at_calls(const Victim& victim, const Around& around, std::size_t sampled) {
  around.prepare();
  const Output whole = victim.run("trace=all");
  REQUIRE(failure(victim.name(), whole) == "");
  const std::vector<Point> calls = victim.calls();
  REQUIRE(around.clean_up(whole) == "");
  std::size_t points = 0;
  for (std::size_t i = 0; i < calls.size(); i += sweep_is_full() ? 1 : sampled) {
    around.prepare();
    const Output output = victim.run(calls[i].injection("signal=KILL"));
    INFO(victim.name() << " killed at call " << i << ", " << calls[i].call << " #"
                       << calls[i].occurrence << ": " << output.text());
    CHECK(around.clean_up(output) == "");
    ++points;
  }
  WARN(victim.name() << ": killed at " << points << " of " << calls.size() << " system calls");
  CHECK(calls.size() > 30);
}

int fail_calls(const Victim& victim, const Around& around, const Fault& fault, int sampled) {
  constexpr int kMaxOccurrences = 400;
  int points = 0, failed = 0;
  for (int n = 1;; n += n < 3 || sweep_is_full() ? 1 : sampled) {
    REQUIRE(n <= kMaxOccurrences);
    around.prepare();
    const Point point{fault.call, n};
    const Output output = victim.run(point.injection(concat("error=", fault.error)));
    INFO(victim.name() << ", " << fault.call << " #" << n << " " << fault.error << ": "
                       << output.text());
    const bool injected = victim.injected();
    if (!injected) CHECK(failure(victim.name(), output) == "");
    CHECK(around.clean_up(output) == "");
    if (!injected) break;
    ++points;
    if (!output.ok()) ++failed;
  }
  WARN(victim.name() << ": " << points << " x " << fault.call << " " << fault.error << ", "
                     << failed << " failed");
  return failed;
}

}  // namespace cni::test
