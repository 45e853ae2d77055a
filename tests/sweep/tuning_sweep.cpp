// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// tuning killed, or refused, at any of its system calls: a failed ADD leaves the container as it
// was, and after a death one DEL does.
#include "plugins/veth_host.h"
#include "support/catch.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 5;
constexpr std::string_view kEverything =
    R"("mac":"c2:11:00:00:00:09","mtu":1400,"promisc":true,"txQLen":77,)"
    R"("sysctl":{"net.ipv4.conf.IFNAME.log_martians":"1","net.ipv4.ip_forward":"1"})";

struct Swept {
  VethHost on;
  Attachment attachment = on.chained("tuning", kEverything);
  Attachment gc = attachment.collecting({});
  Snapshot host_before, container_before;

  Swept() {
    attachment.add();
    attachment.del();
    host_before = snapshot_host();
    container_before = snapshot_network(on.sandbox.net());
  }
  [[nodiscard]] Victim victim(const std::string& verb) const {
    return {on.host, verb == "GC" ? gc : attachment, verb};
  }
  [[nodiscard]] std::string leftovers() const {
    return difference(host_before, snapshot_host()) +
           difference(container_before, snapshot_network(on.sandbox.net()));
  }
  /// One DEL, and then nothing is left.
  [[nodiscard]] std::string del() const {
    const std::string problem = failure("DEL", attachment.run("DEL"));
    return problem + leftovers();
  }
};

}  // namespace

TEST_CASE("tuning sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output&) { return swept.del(); }};
  kill_at_calls(swept.victim("ADD"), around, kSampled);
}

TEST_CASE("tuning sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up = [&](const Output&) { return swept.del(); }};
  kill_at_calls(swept.victim("DEL"), around, kSampled);
}

TEST_CASE("tuning sweep: GC killed at any system call, then one GC", "[sweep]") {
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up =
                          [&](const Output&) {
                            std::string problem = failure("GC", swept.gc.run("GC"));
                            problem += difference(swept.host_before, snapshot_host());
                            // A dead container's settings go with it; this one lives.
                            return problem + failure("DEL", swept.attachment.run("DEL"));
                          }};
  kill_at_calls(swept.victim("GC"), around, kSampled);
}

TEST_CASE("tuning sweep: ADD with any failing system call leaves everything as it was", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output& output) {
    // A process that cannot leave the container's namespace ends at once, without undoing.
    return output.ok() || output.status.signal != 0 ? swept.del() : swept.leftovers();
  }};
  int failed = 0;
  for (const char* const call : {"openat", "openat2", "write", "mkdir", "rename", "setns",
                                 "sendmsg", "recvfrom", "socket", "getrandom"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, 1);
  }
  CHECK(failed > 15);
}
