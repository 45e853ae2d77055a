// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A verb may be killed at any moment. One call afterwards leaves nothing of the attachment; what is
// shared (bridge, gateway addresses) goes with GC.
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"
#include "sweep/ground.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

/// Kills the victim at its system calls; `cleaners` are the verbs that clear up then.
void sweep(const Ground& on, const std::string& verb, const std::vector<std::string>& cleaners,
           const Victim& victim) {
  const Around around{.prepare = [&] { on.prepare(verb); },
                      .clean_up =
                          [&](const Output& output) {
                            std::string problem = on.early_release(verb);
                            // Killed was a child: a failing ADD cleans up by itself.
                            const bool told = output.status.signal == 0 && !output.ok();
                            if (told && verb == "ADD") problem += on.leftovers();
                            return problem + on.clean_up(cleaners);
                          }};
  kill_at_calls(victim, around, 11);
}

void sweep(const Ground& on, const std::string& verb, const std::vector<std::string>& cleaners) {
  sweep(on, verb, cleaners, on.victim(verb));
}

/// What clears up after the verb.
std::vector<std::string> cleaner_of(const std::string& verb) {
  return {verb == "ADD" ? "DEL" : verb};
}

}  // namespace

TEST_CASE("kill sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Ground on;
  sweep(on, "ADD", {"DEL"});
}

TEST_CASE("kill sweep: an ADD that makes the bridge, killed, then one DEL and GC", "[sweep]") {
  const Ground on("", Ground::Bridge::kNone);
  sweep(on, "ADD", {"DEL", "GC"});
}

TEST_CASE("kill sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const Ground on;
  sweep(on, "DEL", {"DEL"});
}

TEST_CASE("kill sweep: GC killed at any system call, then one GC", "[sweep]") {
  const Ground on;
  sweep(on, "GC", {"GC"});
}

TEST_CASE("kill sweep: ptp killed at any system call, then the same or one DEL", "[sweep]") {
  const Ground on(R"("mtu":1400)", Ground::Bridge::kInUse, "ptp");
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  sweep(on, verb, cleaner_of(verb));
}

TEST_CASE("kill sweep: with iptables, then the same or one DEL", "[sweep]") {
  if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
  const Ground on(R"("ipMasqBackend":"iptables")");
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  sweep(on, verb, cleaner_of(verb));
}

TEST_CASE("kill sweep: the IPAM plugin killed at any system call", "[sweep]") {
  const Ground on;
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  sweep(on, verb, cleaner_of(verb), on.ipam_victim(verb));
}
