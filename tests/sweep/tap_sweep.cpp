// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// tap killed, or refused, at any of its system calls: a failed ADD leaves nothing, and after a
// death one DEL does.
#include "plugins/fixture.h"
#include "support/catch.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 7;

struct Swept {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Attachment attachment{
      .conf = plugin_conf("tap", R"("owner":1,"mtu":1400,)"
                                 R"("ipam":{"type":"host-local","subnet":"10.1.2.0/24"})"),
      .netns = sandbox.path(),
      .plugin = "tap"};
  Snapshot host_before, container_before;

  Swept() {
    attachment.add();
    attachment.del();
    host_before = snapshot_host();
    container_before = snapshot_network(sandbox.net()).only("link addr route");
  }
  [[nodiscard]] Attachment caller(const std::string& verb) const {
    return verb == "GC" ? attachment.collecting({}) : attachment;
  }
  [[nodiscard]] Victim victim(const std::string& verb) const { return {host, caller(verb), verb}; }
  [[nodiscard]] std::string leftovers() const {
    return difference_in_the_end(host_before) +
           difference(container_before, snapshot_network(sandbox.net()).only("link addr route"));
  }
  [[nodiscard]] std::string clean_up(const std::string& verb) const {
    const std::string problem = failure(verb, caller(verb).run(verb));
    return problem + leftovers();
  }
};

}  // namespace

TEST_CASE("tap sweep: killed at any system call, then the same or one DEL", "[sweep]") {
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const Swept swept;
  const Around around{
      .prepare =
          [&] {
            if (verb != "ADD") swept.attachment.add();
          },
      .clean_up = [&](const Output&) { return swept.clean_up(verb == "ADD" ? "DEL" : verb); }};
  kill_at_calls(swept.victim(verb), around, kSampled);
}

TEST_CASE("tap sweep: ADD with any failing system call leaves nothing", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output& output) {
    // A process that cannot leave the container's namespace ends at once, without undoing.
    return output.ok() || output.status.signal != 0 ? swept.clean_up("DEL") : swept.leftovers();
  }};
  int failed = 0;
  for (const char* const call : {"openat", "ioctl", "setns", "sendmsg"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, 3);
  }
  CHECK(failed > 8);
}
