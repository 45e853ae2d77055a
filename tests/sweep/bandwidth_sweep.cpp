// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// bandwidth killed, or refused, at any of its system calls: nothing is left after a failed ADD, nor
// after one DEL or GC that follows a death.
#include "plugins/bandwidth_fixture.h"
#include "support/catch.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 5;

struct Swept {
  VethHost on;
  Attachment attachment = on.chained("bandwidth", kBothWays);
  Attachment gc = attachment.collecting({});
  Snapshot before = snapshot_host();

  [[nodiscard]] Victim victim(const std::string& verb) const {
    return {on.host, verb == "GC" ? gc : attachment, verb};
  }
  [[nodiscard]] std::string leftovers() const { return difference(before, snapshot_host()); }
  /// One DEL, and then nothing is left.
  [[nodiscard]] std::string del() const {
    const std::string problem = failure("DEL", attachment.run("DEL"));
    return problem + leftovers();
  }
};

}  // namespace

TEST_CASE("bandwidth sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output&) { return swept.del(); }};
  kill_at_calls(swept.victim("ADD"), around, kSampled);
}

TEST_CASE("bandwidth sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up = [&](const Output&) { return swept.del(); }};
  kill_at_calls(swept.victim("DEL"), around, kSampled);
}

TEST_CASE("bandwidth sweep: GC killed at any system call, then one GC", "[sweep]") {
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up =
                          [&](const Output&) {
                            const std::string problem = failure("GC", swept.gc.run("GC"));
                            CHECK(ifbs().empty());
                            CHECK(redirected_to("host0") == "");
                            return problem + swept.del();
                          }};
  kill_at_calls(swept.victim("GC"), around, kSampled);
}

TEST_CASE("bandwidth sweep: ADD with any failing system call leaves nothing", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output& output) {
    // A process that cannot leave the container's namespace ends at once, without undoing.
    return output.ok() || output.status.signal != 0 ? swept.del() : swept.leftovers();
  }};
  int failed = 0;
  for (const char* const call :
       {"openat", "openat2", "setns", "sendmsg", "recvfrom", "socket", "write"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, 1);
  }
  CHECK(failed > 15);
}
