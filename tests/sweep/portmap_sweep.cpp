// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// portmap killed, or refused, at any of its system calls: a failed ADD leaves the host as it was,
// and after a death one DEL (or GC) does.
#include <algorithm>

#include "plugins/portmap_fixture.h"
#include "support/catch.h"
#include "sweep/points.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::Json;

namespace {

constexpr std::size_t kSampled = 9;

struct Swept {
  PortHost on;
  Container web{"web"};
  Attachment attachment;
  Attachment other, gc;
  Snapshot before;

  explicit Swept(std::string_view members)
      : attachment(
            web.portmap(portmap_conf(mapping(8080, 80) + "," + mapping(5353, 53, "udp"), members))),
        other(attachment),
        gc(attachment) {
    if (members.find("iptables") != members.npos &&
        !run({.argv = {"iptables-save", "-t", "nat"}}).ok()) {
      skip("iptables does not work here");
    }
    gc.conf = with(gc.conf, "cni.dev/valid-attachments", Json::array());
    other.id = "other";
    other.conf = with(
        portmap_conf(mapping(1, 1), members), "prevResult",
        Json::parse(R"({"ips":[{"address":"10.1.2.99/24"},{"address":"2001:db8:1::99/64"}]})"));
    other.add();
    before = state();
  }
  [[nodiscard]] static Snapshot state() {
    return without_hints(snapshot_host()).only("nft iptables file");
  }
  [[nodiscard]] std::string leftovers() const { return difference(before, state()); }
};

const std::string kNft = R"("conditionsV4":["iifname","!=","eth9"])";
const std::string kIptables = R"("backend":"iptables")";

bool is_kernel_or_file(const Point& point) {
  static const std::vector<std::string> calls{"sendmsg", "recvfrom",     "socket", "openat",
                                              "write",   "memfd_create", "pipe2",  "vfork",
                                              "mkdir",   "flock",        "read"};
  return std::ranges::find(calls, point.call) != calls.end();
}

}  // namespace

TEST_CASE("portmap sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const std::string members = GENERATE(kNft, kIptables);
  INFO(members);
  const Swept swept(members);
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

TEST_CASE("portmap sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const std::string members = GENERATE(kNft, kIptables);
  INFO(members);
  const Swept swept(members);
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

TEST_CASE("portmap sweep: GC killed at any system call, then one GC", "[sweep]") {
  const Swept swept(kNft);
  CHECK(swept.gc.run("GC").ok());
  const Snapshot empty = Swept::state();
  swept.attachment.add();
  const auto points = trace(swept.on.host, swept.gc.command("GC"));
  for (std::size_t i = 0; i < points.size(); i += sweep_step(kSampled)) {
    INFO(points[i].call << " #" << points[i].occurrence);
    swept.attachment.add();
    (void)run_with_injection(swept.gc.command("GC"), points[i], "signal=KILL");
    CHECK(swept.gc.run("GC").ok());
    CHECK(difference(empty, Swept::state()) == "");
  }
}

TEST_CASE("portmap sweep: ADD with any failing system call leaves everything as it was",
          "[sweep]") {
  const std::string members = GENERATE(kNft, kIptables);
  const bool fresh = GENERATE(false, true);  // nothing shared is there yet
  INFO(members << " fresh: " << fresh);
  Swept swept(members);
  if (fresh) {
    swept.other.del();
    CHECK(swept.gc.run("GC").ok());
    swept.before = Swept::state();
  }
  const Command add = swept.attachment.command("ADD");
  const auto points = trace(swept.on.host, add);
  const auto clean = [&] {
    CHECK(swept.attachment.run("DEL").ok());
    if (fresh) CHECK(swept.gc.run("GC").ok());
  };
  clean();
  int failed = 0;
  for (std::size_t i = 0; i < points.size(); i += sweep_step(fresh ? 4 : 2)) {
    if (!is_kernel_or_file(points[i])) continue;
    INFO(points[i].call << " #" << points[i].occurrence);
    const Output output = run_with_injection(add, points[i], "error=EIO");
    INFO(output.text());
    // Without a record of it, or without a reader, ADD is taken back by a DEL: what is shared
    // stays.
    const bool taken_back =
        output.out.empty() || output.out.find("/run/cnipp/attachments") != std::string::npos;
    if (output.ok() || output.status.signal != 0 || taken_back) {
      clean();
    } else {
      ++failed;
    }
    CHECK(swept.leftovers() == "");
  }
  CHECK(failed > 2);
  CHECK(swept.attachment.run("ADD").ok());
}
