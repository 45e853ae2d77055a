// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The bridge itself, which containers and networks share.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

TEST_CASE("bridge ADD: the bridge's MAC does not follow its ports", "[bridge][add]") {
  const bool gateway = GENERATE(true, false);
  const TestHost host;
  const TestSandbox first_sandbox("c1");
  const Attachment first{.conf = bridge_conf(gateway ? kRouted : std::string_view()),
                         .netns = first_sandbox.path()};
  first.add();
  const std::string mac = link_of("cni0").root()["address"].string();
  for (int i = 0; i < 6; ++i) {
    const TestSandbox sandbox(concat("x", i));
    const Attachment attachment{.conf = first.conf, .netns = sandbox.path(), .id = concat("x", i)};
    const cni::Json result = attachment.add();
    CHECK(result.root()["interfaces"].items().at(0)["mac"].string() == mac);
    CHECK(link_of("cni0").root()["address"].string() == mac);
    attachment.del();
    CHECK(link_of("cni0").root()["address"].string() == mac);
  }
  first.del();
  CHECK(link_of("cni0").root()["address"].string() == mac);
}

TEST_CASE("bridge ADD: an administrator's bridge is adopted as it is", "[bridge][add]") {
  const TestHost host;
  tool("ip link add cni0 mtu 1450 type bridge stp_state 1 forward_delay 200");
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = bridge_conf(kRouted), .netns = sandbox.path()};
  const cni::Json result = attachment.add();
  const cni::Json bridge = link_of("cni0");
  CHECK(bridge.root()["linkinfo"]["info_data"]["stp_state"].text() == "1");
  CHECK(bridge.root()["flags"].text().find("\"UP\"") != std::string::npos);
  CHECK(result.root()["interfaces"].items().at(0)["mac"].string() ==
        bridge.root()["address"].string());
  CHECK(tool("cat /sys/class/net/cni0/addr_assign_type") == "3\n");
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(link_of("cni0").root()["address"].string() == bridge.root()["address"].string());
  REQUIRE(run_gc(attachment.conf, {}).ok());
  CHECK(has_link("cni0"));
}

TEST_CASE("bridge ADD: a bridge that lost its last port had no MAC of its own", "[bridge][add]") {
  const TestHost host;
  tool("ip link add cni0 type bridge");
  tool("ip link add p0 type veth peer name p1");
  tool("ip link set p0 master cni0");
  tool("ip link del p0");
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = bridge_conf(kRouted), .netns = sandbox.path()};
  const cni::Json result = attachment.add();
  CHECK(result.root()["interfaces"].items().at(0)["mac"].string() ==
        link_of("cni0").root()["address"].string());
  CHECK(attachment.run("CHECK", result).ok());
}

TEST_CASE("bridge ADD: an address of an earlier subnet is replaced when no port is left",
          "[bridge][add]") {
  const TestHost host;
  const TestSandbox first("c1"), second("c2");
  const Attachment old{
      .conf = bridge_conf(R"("isGateway":true,"ipam":{"type":"host-local","subnet":"10.9.0.0/24"})",
                          "1.1.0", "old"),
      .netns = first.path()};
  const Attachment fresh{.conf = bridge_conf(kRouted), .netns = second.path(), .id = "c2"};
  old.add();
  SECTION("no port") {
    old.del();
    REQUIRE(addresses_of("cni0") == std::vector<std::string>{"10.9.0.1/24"});
    fresh.add();
    CHECK(addresses_of("cni0") == std::vector<std::string>{"10.1.2.1/24"});
  }
  SECTION("a live port: refused, and the error helps") {
    const Snapshot before = snapshot_host().without_hints().only("link addr route nft file");
    const Output output = fresh.run("ADD");
    INFO(output.text());
    CHECK(code_of(output) == 102);
    for (const char* const part : {"found 10.9.0.1/24", "wanted 10.1.2.1/24", "1 other port",
                                   "ip address del 10.9.0.1/24 dev cni0", "forceAddress"}) {
      CHECK_THAT(message_of(output), contains(part));
    }
    CHECK(addresses_of("cni0") == std::vector<std::string>{"10.9.0.1/24"});
    CHECK(leases_of("net1").empty());
    CHECK(ports_of("cni0").size() == 1);
  }
  SECTION("a live port and forceAddress: replaced") {
    Attachment forced = fresh;
    forced.conf = with(forced.conf, "forceAddress", true);
    forced.add();
    CHECK(addresses_of("cni0") == std::vector<std::string>{"10.1.2.1/24"});
  }
}
