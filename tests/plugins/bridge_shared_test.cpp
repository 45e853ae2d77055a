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

TEST_CASE("bridge ADD: a bridge that existed keeps its MAC", "[bridge][add]") {
  const TestHost host;
  tool("ip link add br0 type bridge");
  SECTION("the host's own, with its card in it") {
    tool("ip link add nic0 type veth peer name outside");
    tool("ip link set nic0 master br0 up");
    tool("ip link set outside up");
  }
  SECTION("without a port") {}
  const bool gateway = GENERATE(true, false);
  const std::string conf =
      with(bridge_conf(gateway ? kRouted : std::string_view(R"("ipam":{})")), "bridge", "br0");
  const std::string mac = link_of("br0").root()["address"].string();
  for (int i = 0; i < 6; ++i) {
    const TestSandbox sandbox(concat("x", i));
    const Attachment attachment{.conf = conf, .netns = sandbox.path(), .id = concat("x", i)};
    const cni::Json result = attachment.add();
    CHECK(link_of("br0").root()["address"].string() == mac);
    const auto interfaces = result.root()["interfaces"].items();
    CHECK(interfaces.at(0)["mac"].string() == mac);
    CHECK(interfaces.at(1)["mac"].string().starts_with("fe:"));
    CHECK_FALSE(interfaces.at(2)["mac"].string().starts_with("fe:"));
    CHECK(attachment.run("CHECK", result).ok());
    attachment.del();
    CHECK(link_of("br0").root()["address"].string() == mac);
  }
}

TEST_CASE("bridge ADD: the bridge's own IPv6 addresses can be used at once", "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  SECTION("as it is") {}
  SECTION("where the administrator switched IPv6 off for new links") {
    host.net().set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
  }
  const Attachment attachment{.conf = bridge_conf(kDualStack), .netns = sandbox.path()};
  attachment.add();
  CHECK(tool("ip -6 addr show dev cni0 tentative").empty());
  CHECK_THAT(tool("ip -6 addr show dev cni0"), contains("2001:db8:1::1/64"));
  CHECK_THAT(tool("ip -6 addr show dev cni0"), contains("fe80::"));
  CHECK(tool("ping -6 -c 1 -W 2 2001:db8:1::1", &sandbox.net()).find(" 0% packet loss") !=
        std::string::npos);
}

TEST_CASE("bridge ADD: links that live by router advertisements go on doing so", "[bridge][add]") {
  const TestHost host;
  tool("ip link add up0 type veth peer name up1");
  tool("ip link set up0 up");
  tool("ip link set up1 up");
  host.net().set_sysctl("net/ipv6/conf/up0/accept_ra", "1");
  host.net().set_sysctl("net/ipv6/conf/up1/accept_ra", "1");
  tool("ip -6 route add default via fe80::99 dev up0 proto ra");
  const TestSandbox sandbox("c1");
  Attachment{.conf = bridge_conf(kDualStack), .netns = sandbox.path()}.add();
  CHECK(host.net().sysctl("net/ipv6/conf/all/forwarding") == "1");
  CHECK(host.net().sysctl("net/ipv6/conf/up0/accept_ra") == "2");
  CHECK(host.net().sysctl("net/ipv6/conf/up1/accept_ra") == "1");
  CHECK_THAT(tool("ip -6 route show default"), contains("dev up0"));
}

TEST_CASE("bridge ADD: a neighbour learns at once who has an address now", "[bridge][add]") {
  const TestHost host;
  const std::string conf = bridge_conf(
      R"("isGateway":true,"ipam":{"type":"static","addresses":[{"address":"10.1.2.9/24"}]})");
  tool("ip link add cni0 type bridge");
  const TestSandbox first("c1"), second("c2");
  const Attachment one{.conf = conf, .netns = first.path()};
  const Attachment other{.conf = conf, .netns = second.path(), .id = "c2"};
  for (int i = 0; i < 5; ++i) {
    one.add();
    CHECK(run({.argv = {"ping", "-c", "1", "-W", "5", "10.1.2.9"}}).ok());
    one.del();
    other.add();
    // One probe: a second would be sent to everybody.
    CHECK(run({.argv = {"ping", "-c", "1", "-W", "2", "10.1.2.9"}}).ok());
    other.del();
  }
}
