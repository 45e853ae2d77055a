// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// host-device killed, or refused, at any of its system calls: a failed ADD has given the device
// back as it was, and after a death one DEL does.
#include "plugins/host-device/fixture.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 13;

struct Swept {
  DeviceHost on;
  Attachment attachment = on.attachment();
  Snapshot container_before;

  Swept() {
    attachment.add();
    attachment.del();
    on.before = snapshot_host().without_hints();
    container_before = snapshot_network(on.sandbox.net()).only("link addr route rule");
  }
  [[nodiscard]] Attachment caller(const std::string& verb) const {
    return verb == "GC" ? attachment.collecting({}) : attachment;
  }
  [[nodiscard]] Victim victim(const std::string& verb) const {
    return {on.host, caller(verb), verb};
  }
  [[nodiscard]] std::string leftovers() const {
    return on.leftovers() +
           difference(container_before,
                      snapshot_network(on.sandbox.net()).only("link addr route rule"));
  }
  [[nodiscard]] std::string clean_up(const std::string& verb) const {
    const std::string problem = failure(verb, caller(verb).run(verb));
    return problem + leftovers();
  }
};

}  // namespace

TEST_CASE("host-device sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output&) { return swept.clean_up("DEL"); }};
  kill_at_calls(swept.victim("ADD"), around, kSampled);
}

TEST_CASE("host-device sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up = [&](const Output&) { return swept.clean_up("DEL"); }};
  kill_at_calls(swept.victim("DEL"), around, kSampled);
}

TEST_CASE("host-device sweep: GC killed at any system call, then one GC", "[sweep]") {
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up = [&](const Output&) { return swept.clean_up("GC"); }};
  kill_at_calls(swept.victim("GC"), around, kSampled);
}

TEST_CASE("host-device sweep: ADD with any failing system call gives the device back", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output& output) {
    // A process that cannot leave the container's namespace ends at once, without undoing.
    return output.ok() || output.status.signal != 0 ? swept.clean_up("DEL") : swept.leftovers();
  }};
  int failed = 0;
  for (const char* const call : {"openat", "write", "linkat", "setns", "sendmsg", "socket"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, 9);
  }
  CHECK(failed > 8);
}
