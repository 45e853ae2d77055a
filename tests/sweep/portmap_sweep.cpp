// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// portmap killed, or refused, at any of its system calls: a failed ADD leaves the host as it was,
// and after a death one DEL (or GC) does.
#include "plugins/portmap_fixture.h"
#include "support/catch.h"
#include "support/skip.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::Json;

namespace {

constexpr std::size_t kSampled = 9;

struct Swept {
  PortHost on;
  Container web{"web"};
  Attachment attachment;
  Attachment other, gc = attachment.collecting({});
  Snapshot before;

  explicit Swept(std::string_view members)
      : attachment(
            web.portmap(portmap_conf(mapping(8080, 80) + "," + mapping(5353, 53, "udp"), members))),
        other(attachment) {
    if (members.find("iptables") != members.npos &&
        !run({.argv = {"iptables-save", "-t", "nat"}}).ok()) {
      skip("iptables does not work here");
    }
    other.id = "other";
    other.conf = with(
        portmap_conf(mapping(1, 1), members), "prevResult",
        Json::parse(R"({"ips":[{"address":"10.1.2.99/24"},{"address":"2001:db8:1::99/64"}]})"));
    other.add();
    before = state();
  }
  [[nodiscard]] static Snapshot state() {
    return snapshot_host().without_hints().only("nft iptables file");
  }
  [[nodiscard]] Victim victim(const std::string& verb) const {
    return {on.host, verb == "GC" ? gc : attachment, verb};
  }
  [[nodiscard]] std::string leftovers() const { return difference(before, state()); }
  /// One DEL, and then nothing is left.
  [[nodiscard]] std::string del() const {
    const std::string problem = failure("DEL", attachment.run("DEL"));
    return problem + leftovers();
  }
};

const std::string kNft = R"("conditionsV4":["iifname","!=","eth9"])";
const std::string kIptables = R"("backend":"iptables")";

}  // namespace

TEST_CASE("portmap sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const std::string members = GENERATE(kNft, kIptables);
  INFO(members);
  const Swept swept(members);
  const Around around{.clean_up = [&](const Output&) { return swept.del(); }};
  kill_at_calls(swept.victim("ADD"), around, kSampled);
}

TEST_CASE("portmap sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const std::string members = GENERATE(kNft, kIptables);
  INFO(members);
  const Swept swept(members);
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up = [&](const Output&) { return swept.del(); }};
  kill_at_calls(swept.victim("DEL"), around, kSampled);
}

TEST_CASE("portmap sweep: GC killed at any system call, then one GC", "[sweep]") {
  const std::string members = GENERATE(kNft, kIptables);
  INFO(members);
  const Swept swept(members);
  CHECK(swept.gc.run("GC").ok());
  const Snapshot empty = Swept::state();
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up =
                          [&](const Output&) {
                            const std::string problem = failure("GC", swept.gc.run("GC"));
                            return problem + difference(empty, Swept::state());
                          }};
  kill_at_calls(swept.victim("GC"), around, kSampled);
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
  const auto undo = [&](const Output& output) -> std::string {
    // Without a record of it, or without a reader, ADD is taken back by a DEL: what is shared
    // stays.
    const bool taken_back =
        output.out.empty() || output.out.find("/run/cnipp/attachments") != std::string::npos;
    if (!output.ok() && output.status.signal == 0 && !taken_back) return {};
    const std::string problem = failure("DEL", swept.attachment.run("DEL"));
    return problem + (fresh ? failure("GC", swept.gc.run("GC")) : "");
  };
  const Around around{.clean_up = [&](const Output& output) {
    const std::string problem = undo(output);
    return problem + swept.leftovers();
  }};
  int failed = 0;
  for (const char* const call : {"sendmsg", "recvfrom", "socket", "openat", "write", "memfd_create",
                                 "pipe2", "vfork", "mkdir", "flock", "read"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, fresh ? 4 : 2);
  }
  CHECK(failed > 2);
  CHECK(swept.attachment.run("ADD").ok());
}
