// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What vlan has beyond the contract of every interface plugin: VLAN ids, protocols, QoS maps.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kV4 =
    R"("ipam":{"type":"static","addresses":[{"address":"198.51.100.10/24"}]})";

std::string vlan_conf(std::string_view members, std::string_view version = "1.1.0") {
  return plugin_conf("vlan", members, version);
}

/// A host with "uplink" to a machine outside, which has a leg in VLAN 7 of it.
struct Uplinked {
  TestHost host;
  OutsideHost outside{host};
  TestSandbox sandbox{"c1"};

  Uplinked() {
    if (!run({.argv = {"ip", "link", "add", "link", "uplink", "name", "probe", "type", "vlan", "id",
                       "4000"}})
             .ok()) {
      skip("this kernel has no 802.1Q");
    }
    tool("ip link del probe");
  }
  [[nodiscard]] Attachment attachment(const std::string& conf, std::string id = "c1") const {
    return {.conf = conf, .netns = sandbox.path(), .id = std::move(id), .plugin = "vlan"};
  }
  [[nodiscard]] Output add(std::string_view members) const {
    return attachment(vlan_conf(members)).run("ADD");
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] cni::Json data(std::string_view link = "eth0") const {
    return cni::Json(link_of(link, inside()).root()["linkinfo"]["info_data"]);
  }
};

}  // namespace

TEST_CASE("vlan ADD: frames carry the VLAN's tag", "[vlan][add]") {
  const Uplinked on;
  tool("ip link add link uplink name leg type vlan id 7", &on.outside.net());
  tool("ip addr add 198.51.100.2/24 dev leg", &on.outside.net());
  tool("ip link set leg up", &on.outside.net());
  const cni::Json result =
      on.attachment(vlan_conf(concat(R"("master":"uplink","vlanId":7,"mtu":1400,)", kV4))).add();
  CHECK(link_of("eth0", on.inside()).root()["linkinfo"]["info_kind"].string() == "vlan");
  CHECK(on.data().root()["id"].text() == "7");
  CHECK(on.data().root()["protocol"].string() == "802.1Q");
  CHECK(tcp_peer_seen({on.sandbox.net(), on.outside.net(), "198.51.100.2"}) == "198.51.100.10");
  CHECK(result.root()["interfaces"].items().at(0)["mtu"].text() == "1400");
}

TEST_CASE("vlan ADD: 802.1ad, MAC and QoS maps", "[vlan][add]") {
  const Uplinked on;
  const Output output = on.add(
      concat(R"("master":"uplink","vlanId":8,"protocol":"802.1ad","mac":"02:00:00:00:00:08",)"
             R"("ingressQosMap":{"1":2,"3":4},"egressQosMap":{"5":6},)",
             kV4));
  INFO(output.text());
  REQUIRE(output.ok());
  CHECK(on.data().root()["protocol"].string() == "802.1ad");
  CHECK(link_of("eth0", on.inside()).root()["address"].string() == "02:00:00:00:00:08");
  CHECK(on.data().root()["ingress_qos"].items().size() == 2);
  CHECK(on.data().root()["egress_qos"].items().size() == 1);
}

TEST_CASE("vlan ADD: what cannot be is refused, and nothing is left", "[vlan][add]") {
  const Uplinked on;
  const Snapshot before = snapshot_host();
  const auto& [members, named] = GENERATE(table<std::string, std::string>({
      {R"("vlanId":7)", "master: "},
      {R"("master":"uplink")", "vlanId: "},
      {R"("master":"uplink","vlanId":4095)", "vlanId: "},
      {R"("master":"uplink","vlanId":-1)", "vlanId: "},
      {R"("master":"uplink","vlanId":7,"mtu":1501)", "mtu: "},
      {R"("master":"uplink","vlanId":7,"protocol":"802.1x")", "protocol: "},
      {R"("master":"uplink","vlanId":7,"egressQosMap":{"1":8})", "egressQosMap"},
      {R"("master":"uplink","vlanId":7,"ingressQosMap":{"x":1})", "ingressQosMap"},
      {R"("master":"uplink9","vlanId":7)", "master: "},
  }));
  const Output output = on.add(concat(members, ",", kV4));
  INFO(members);
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains(named));
  CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("vlan ADD: the second on one VLAN learns who has it, and what to do", "[vlan][add]") {
  const Uplinked on;
  const std::string conf = vlan_conf(concat(R"("master":"uplink","vlanId":7,)", kV4));
  on.attachment(conf).add();
  const TestSandbox second("c2");
  Attachment attachment = on.attachment(conf, "c2");
  attachment.netns = second.path();
  const Output output = attachment.run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains("c1"));
  CHECK_THAT(message_of(output), contains("uplink"));
  CHECK_THAT(message_of(output), contains("macvlan"));
  CHECK_FALSE(has_link("eth0", &second.net()));
  const Output status = Attachment{.conf = conf, .netns = "", .plugin = "vlan"}.run("STATUS");
  CHECK(code_of(status) == 50);
  CHECK_THAT(message_of(status), contains("c1"));
}

TEST_CASE("vlan ADD: a master that is down is said to be down", "[vlan][add]") {
  const Uplinked on;
  tool("ip link set uplink down");
  const Output output = on.add(concat(R"("master":"uplink","vlanId":7,)", kV4));
  CHECK_FALSE(output.ok());
  CHECK_THAT(message_of(output), contains("uplink"));
  CHECK_THAT(message_of(output), contains("down"));
  CHECK_FALSE(has_link("eth0", on.inside()));
}

TEST_CASE("vlan ADD: a master inside the container", "[vlan][add]") {
  const Uplinked on;
  tool("ip link add inner0 type veth peer name inner1", on.inside());
  tool("ip link set inner0 up", on.inside());
  tool("ip link set inner1 up", on.inside());
  Attachment attachment = on.attachment(
      vlan_conf(concat(R"("master":"inner0","vlanId":7,"linkInContainer":true,)", kV4)));
  attachment.ifname = "inner0.7";
  const cni::Json result = attachment.add();
  CHECK(on.data("inner0.7").root()["id"].text() == "7");
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK_FALSE(has_link("inner0.7", on.inside()));
}

TEST_CASE("vlan DEL: with the master gone the lease is released", "[vlan][del]") {
  const Uplinked on;
  const Attachment attachment =
      on.attachment(vlan_conf(R"("master":"uplink","vlanId":7,"ipam":{"type":"host-local",)"
                              R"("subnet":"198.51.100.0/24"})"));
  attachment.add();
  REQUIRE(leases_of("net1").size() == 1);
  tool("ip link del uplink");
  attachment.del();
  CHECK(leases_of("net1").empty());
}

TEST_CASE("vlan CHECK: notices id, MTU and master", "[vlan][check]") {
  const Uplinked on;
  const Attachment attachment =
      on.attachment(vlan_conf(concat(R"("master":"uplink","vlanId":7,"mtu":1400,)", kV4)));
  const cni::Json result = attachment.add();
  REQUIRE(attachment.run("CHECK", result).ok());
  const std::string mac = link_of("eth0", on.inside()).root()["address"].string();
  const auto noticed = [&](const std::string& change, const std::string& back,
                           const std::string& named) {
    require_noticed(attachment, result, {change, back, named, on.inside()});
  };
  noticed("ip link set eth0 mtu 1399", "ip link set eth0 mtu 1400", "eth0");
  SECTION("down") { noticed("ip link set eth0 down", "", "eth0"); }
  SECTION("another VLAN") {
    tool("ip link del eth0", on.inside());
    tool(concat("ip link add link uplink name moved0 address ", mac, " mtu 1400 type vlan id 9"));
    tool("ip link set moved0 netns c1");
    tool("ip link set moved0 name eth0", on.inside());
    tool("ip addr add 198.51.100.10/24 dev eth0", on.inside());
    noticed("ip link set eth0 up", "", "vlanId");
  }
}
