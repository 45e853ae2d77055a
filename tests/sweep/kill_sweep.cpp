// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A verb may be killed at any moment. One call afterwards leaves nothing of the attachment; what is
// shared (bridge, gateway addresses) goes with GC.
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 11;  // every so many calls, unless CNIPP_SWEEP=full

/// Kills the victim at its system calls; `cleaners` are the verbs that clear up then.
void sweep(const Ground& on, const Victim& victim, const std::vector<std::string>& cleaners) {
  on.prepare(victim.verb());
  const std::vector<Point> calls = victim.calls();
  REQUIRE(on.clean_up(cleaners) == "");
  const std::size_t step = sweep_is_full() ? 1 : kSampled;
  std::size_t points = 0;
  for (std::size_t i = 0; i < calls.size(); i += step, ++points) {
    on.prepare(victim.verb());
    const Output output = victim.run(calls[i].injection("signal=KILL"));
    INFO(victim.verb() << " killed at call " << i << ", " << calls[i].call << " #"
                       << calls[i].occurrence << ": " << output.text());
    if (victim.verb() != "ADD") CHECK_FALSE(on.released_too_early());
    // Killed was a child: a failing ADD cleans up by itself.
    const bool told = output.status.signal == 0 && !output.ok();
    if (told && victim.verb() == "ADD") CHECK(on.leftovers() == "");
    CHECK(on.clean_up(cleaners) == "");
  }
  WARN(victim.verb() << ": killed at " << points << " of " << calls.size() << " system calls");
  CHECK(calls.size() > 60);
}

}  // namespace

TEST_CASE("kill sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  Ground on;
  sweep(on, Victim(on, "ADD"), {"DEL"});
}

TEST_CASE("kill sweep: an ADD that makes the bridge, killed, then one DEL and GC", "[sweep]") {
  Ground on("", Ground::Bridge::kNone);
  sweep(on, Victim(on, "ADD"), {"DEL", "GC"});
}

TEST_CASE("kill sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  Ground on;
  sweep(on, Victim(on, "DEL"), {"DEL"});
}

TEST_CASE("kill sweep: GC killed at any system call, then one GC", "[sweep]") {
  Ground on;
  sweep(on, Victim(on, "GC"), {"GC"});
}

TEST_CASE("kill sweep: ptp killed at any system call, then the same or one DEL", "[sweep]") {
  Ground on(R"("mtu":1400)", Ground::Bridge::kInUse, "ptp");
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  sweep(on, Victim(on, verb), {verb == "ADD" ? "DEL" : verb});
}

TEST_CASE("kill sweep: with iptables, then the same or one DEL", "[sweep]") {
  if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
  Ground on(R"("ipMasqBackend":"iptables")");
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  sweep(on, Victim(on, verb), {verb == "ADD" ? "DEL" : verb});
}

TEST_CASE("kill sweep: the IPAM plugin killed at any system call", "[sweep]") {
  Ground on;
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  sweep(on, Victim(on, verb, Victim::Program::kIpam), {verb == "ADD" ? "DEL" : verb});
}
