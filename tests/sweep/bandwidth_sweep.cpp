// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// bandwidth killed, or refused, at any of its system calls: nothing is left after a failed ADD, nor
// after one DEL or GC that follows a death.
#include "plugins/bandwidth_fixture.h"
#include "support/catch.h"
#include "sweep/points.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 5;

struct Swept {
  VethHost on;
  Attachment attachment = on.chained("bandwidth", kBothWays);
  Snapshot before = snapshot_host();

  /// One call, and then nothing is left. Returns what is.
  [[nodiscard]] std::string clean_up(const Attachment& with, std::string_view verb) const {
    const Output output = with.run(verb);
    return cni::concat(output.ok() ? "" : output.text(), difference(before, snapshot_host()));
  }
};

}  // namespace

TEST_CASE("bandwidth sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Command add = swept.attachment.command("ADD");
  const auto points = trace(swept.on.host, add);
  swept.attachment.del();
  for (std::size_t i = 0; i < points.size(); i += sweep_step(kSampled)) {
    INFO(points[i].call << " #" << points[i].occurrence);
    (void)run_with_injection(add, points[i], "signal=KILL");
    CHECK(swept.clean_up(swept.attachment, "DEL") == "");
  }
}

TEST_CASE("bandwidth sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Command del = swept.attachment.command("DEL");
  swept.attachment.add();
  const auto points = trace(swept.on.host, del);
  for (std::size_t i = 0; i < points.size(); i += sweep_step(kSampled)) {
    INFO(points[i].call << " #" << points[i].occurrence);
    swept.attachment.add();
    (void)run_with_injection(del, points[i], "signal=KILL");
    CHECK(swept.clean_up(swept.attachment, "DEL") == "");
  }
}

TEST_CASE("bandwidth sweep: GC killed at any system call, then one GC", "[sweep]") {
  const Swept swept;
  Attachment gc = swept.attachment;
  gc.conf = with(gc.conf, "cni.dev/valid-attachments", cni::Json::array());
  swept.attachment.add();
  const auto points = trace(swept.on.host, gc.command("GC"));
  for (std::size_t i = 0; i < points.size(); i += sweep_step(kSampled)) {
    INFO(points[i].call << " #" << points[i].occurrence);
    swept.attachment.add();
    (void)run_with_injection(gc.command("GC"), points[i], "signal=KILL");
    CHECK(gc.run("GC").ok());
    CHECK(ifbs().empty());
    CHECK(redirected_to("host0") == "");
    CHECK(swept.clean_up(swept.attachment, "DEL") == "");
  }
}

TEST_CASE("bandwidth sweep: ADD with any failing system call leaves nothing", "[sweep]") {
  const Swept swept;
  const Command add = swept.attachment.command("ADD");
  const auto points = trace(swept.on.host, add);
  swept.attachment.del();
  int failed = 0;
  for (const Point& point : points) {
    const bool file = point.call == "openat" || point.call == "openat2" || point.call == "setns";
    const bool socket =
        point.call == "sendmsg" || point.call == "recvfrom" || point.call == "socket";
    if (!file && !socket && point.call != "write") continue;
    INFO(point.call << " #" << point.occurrence);
    const Output output = run_with_injection(add, point, "error=EIO");
    INFO(output.text());
    // A process that cannot leave the container's namespace ends at once, without undoing.
    if (output.ok() || output.status.signal != 0) {
      swept.attachment.del();
    } else {
      ++failed;
    }
    CHECK(difference(swept.before, snapshot_host()) == "");
  }
  CHECK(failed > 15);
}
