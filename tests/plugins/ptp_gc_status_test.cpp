// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

const std::string kConf =
    plugin_conf("ptp", R"("ipMasq":true,"ipam":{"type":"host-local","subnet":"10.1.2.0/24"})");

struct Populated {
  TestHost host;
  TestSandbox sandboxes[3] = {TestSandbox("a"), TestSandbox("b"), TestSandbox("c")};

  Populated() {
    int i = 0;
    for (const char* const id : {"a", "b", "c"}) {
      Attachment{.conf = kConf, .netns = sandboxes[i++].path(), .id = id, .plugin = "ptp"}.add();
    }
  }
};

Output status(const std::string& conf, std::string plugin_path = our_bin_dir()) {
  Attachment attachment{.conf = conf, .netns = "", .plugin = "ptp"};
  attachment.plugin_path = std::move(plugin_path);
  return attachment.run("STATUS");
}

}  // namespace

TEST_CASE("ptp GC: keeps the valid attachments", "[ptp][gc]") {
  const Populated on;
  REQUIRE(run_gc(kConf, {"b", "unknown"}).ok());
  CHECK_FALSE(has_link("eth0", &on.sandboxes[0].net()));
  CHECK(has_link("eth0", &on.sandboxes[1].net()));
  CHECK_FALSE(has_link("eth0", &on.sandboxes[2].net()));
  CHECK(leases_of("net1") == std::vector<std::string>{"10.1.2.3"});
  CHECK(masqueraded() == std::vector<std::string>{"10.1.2.3"});
}

TEST_CASE("ptp GC: no list takes nothing, an empty one everything", "[ptp][gc]") {
  const Populated on;
  const Snapshot before = snapshot_host().without_hints();
  REQUIRE(Attachment{.conf = kConf, .netns = "", .plugin = "ptp"}.run("GC").ok());
  CHECK(difference(before, snapshot_host().without_hints()) == "");
  REQUIRE(run_gc(kConf, {}).ok());
  CHECK(leases_of("net1").empty());
  const Snapshot left = snapshot_host().only("link addr route nft");
  CHECK_FALSE(left.mentions("veth"));
  CHECK_FALSE(left.mentions("cnipp"));
}

TEST_CASE("ptp STATUS: ready, and changes nothing", "[ptp][status]") {
  const TestHost host;
  const Snapshot before = snapshot_host().only("link addr route nft sysctl");
  const Output output = status(kConf);
  INFO(output.text());
  CHECK(output.ok());
  CHECK(difference(before, snapshot_host().only("link addr route nft sysctl")) == "");
}

TEST_CASE("ptp STATUS: 50 and the reason when ADD could not work", "[ptp][status]") {
  const TestHost host;
  const Output missing = status(plugin_conf("ptp", R"("ipam":{"type":"not-there"})"));
  CHECK(code_of(missing) == 50);
  CHECK_THAT(message_of(missing), contains("not-there"));
  CHECK(status(plugin_conf("ptp", "")).ok());

  const TestSandbox sandbox("c1");
  const std::string tiny =
      plugin_conf("ptp", R"("ipam":{"type":"host-local","subnet":"10.1.2.0/30"})");
  Attachment{.conf = tiny, .netns = sandbox.path(), .plugin = "ptp"}.add();
  CHECK(code_of(status(tiny)) == 50);

  Command command = Attachment{.conf = kConf, .netns = "", .plugin = "ptp"}.command("STATUS");
  const std::string dropped = GENERATE("-net_admin", "-sys_admin");
  const std::vector<std::string> prefix = {"setpriv", "--bounding-set", dropped, "--inh-caps",
                                           dropped};
  command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
  const Output output = run(command);
  INFO(dropped << ": " << output.text());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("EPERM"));
}
