// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// tuning killed, or refused, at any of its system calls: a failed ADD leaves the container as it
// was, and after a death one DEL does.
#include "plugins/veth_host.h"
#include "support/catch.h"
#include "sweep/points.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 5;
constexpr std::string_view kEverything =
    R"("mac":"c2:11:00:00:00:09","mtu":1400,"promisc":true,"txQLen":77,)"
    R"("sysctl":{"net.ipv4.conf.IFNAME.log_martians":"1","net.ipv4.ip_forward":"1"})";

struct Swept {
  VethHost on;
  Attachment attachment = on.chained("tuning", kEverything);
  Snapshot host_before, container_before;

  Swept() {
    attachment.add();
    attachment.del();
    host_before = snapshot_host();
    container_before = snapshot_network(on.sandbox.net());
  }
  [[nodiscard]] std::string leftovers() const {
    return difference(host_before, snapshot_host()) +
           difference(container_before, snapshot_network(on.sandbox.net()));
  }
};

}  // namespace

TEST_CASE("tuning sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Command add = swept.attachment.command("ADD");
  const auto points = trace(swept.on.host, add);
  swept.attachment.del();
  for (std::size_t i = 0; i < points.size(); i += sweep_step(kSampled)) {
    INFO(points[i].call << " #" << points[i].occurrence);
    (void)run_with_injection(add, points[i], "signal=KILL");
    CHECK(swept.attachment.run("DEL").ok());
    CHECK(swept.leftovers() == "");
  }
}

TEST_CASE("tuning sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Command del = swept.attachment.command("DEL");
  swept.attachment.add();
  const auto points = trace(swept.on.host, del);
  for (std::size_t i = 0; i < points.size(); i += sweep_step(kSampled)) {
    INFO(points[i].call << " #" << points[i].occurrence);
    swept.attachment.add();
    (void)run_with_injection(del, points[i], "signal=KILL");
    CHECK(swept.attachment.run("DEL").ok());
    CHECK(swept.leftovers() == "");
  }
}

TEST_CASE("tuning sweep: GC killed at any system call, then one GC", "[sweep]") {
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
    CHECK(difference(swept.host_before, snapshot_host()) == "");
    // A dead container's settings go with it; this one lives.
    CHECK(swept.attachment.run("DEL").ok());
  }
}

TEST_CASE("tuning sweep: ADD with any failing system call leaves everything as it was", "[sweep]") {
  const Swept swept;
  const Command add = swept.attachment.command("ADD");
  const auto points = trace(swept.on.host, add);
  swept.attachment.del();
  int failed = 0;
  for (const Point& point : points) {
    const bool file = point.call == "openat" || point.call == "openat2" || point.call == "write" ||
                      point.call == "mkdir" || point.call == "rename" || point.call == "setns";
    const bool socket = point.call == "sendmsg" || point.call == "recvfrom" ||
                        point.call == "socket" || point.call == "getrandom";
    if (!file && !socket) continue;
    INFO(point.call << " #" << point.occurrence);
    const Output output = run_with_injection(add, point, "error=EIO");
    INFO(output.text());
    // A process that cannot leave the container's namespace ends at once, without undoing.
    if (output.ok() || output.status.signal != 0) {
      CHECK(swept.attachment.run("DEL").ok());
    } else {
      ++failed;
    }
    CHECK(swept.leftovers() == "");
  }
  CHECK(failed > 15);
}
