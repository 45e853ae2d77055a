// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The lists of conf-examples/ whose links not every kernel has: one container through its life.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

void run_example(const std::string& kind, const std::string& address) {
  const TestHost host;
  const OutsideHost outside(host);
  const TestSandbox sandbox("c1");
  const std::string probe = concat("ip link add ", kind == "dummy" ? "" : "link uplink ",
                                   "name probe type ", kind, kind == "vlan" ? " id 4000" : "");
  if (!run({.argv = {"sh", "-c", probe}}).ok()) skip(concat("this kernel has no ", kind));
  tool("ip link del probe");

  const auto call = [&](const char* command) {
    const Output output = run_cnitool({.command = command,
                                       .network = kind,
                                       .netns = sandbox.path(),
                                       .conf_dir = source_dir() + "/conf-examples"});
    INFO(command << output.text());
    CHECK(output.ok());
  };
  const Snapshot before = snapshot_host();
  call("status");
  call("add");
  CHECK(link_of("eth0", &sandbox.net()).root()["linkinfo"]["info_kind"].string() == kind);
  CHECK(addresses_of("eth0", &sandbox.net()) == std::vector<std::string>{address});
  call("check");
  call("del");
  CHECK_FALSE(has_link("eth0", &sandbox.net()));
  call("gc");
  CHECK(difference_in_the_end(before) == "");
}

}  // namespace

TEST_CASE("examples: ipvlan", "[example]") { run_example("ipvlan", "192.0.2.100/24"); }
TEST_CASE("examples: vlan", "[example]") { run_example("vlan", "198.51.100.10/24"); }
TEST_CASE("examples: dummy", "[example]") { run_example("dummy", "203.0.113.53/32"); }
