// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// VLANs of bridge ports. Needs a kernel with VLAN filtering: on one without, the cases that need it
// are skipped (tools/stock-kernel has one).
#include <set>

#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/skip.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kIpam =
    R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}],)"
    R"([{"subnet":"2001:db8:1::/64"}]]})";

struct VlanHost {
  TestHost host;
  TestSandbox first{"c1"}, second{"c2"};

  VlanHost() {
    require_vlan_filtering();
    host.enable_forwarding();
  }
};

std::string vlan_conf(std::string_view members) {
  return bridge_conf(concat(R"("isDefaultGateway":true,)", members, ",", kIpam));
}

/// "100 pvid untagged", "200", sorted by id.
std::multiset<std::string> vlans_of(const std::string& port) {
  std::multiset<std::string> out;
  const cni::Json shown = tool_json(concat("bridge -j vlan show dev ", port));
  for (const auto& entry : shown.root().items()) {
    for (const auto& vlan : entry["vlans"].items()) {
      const auto first = vlan["vlan"].int_or(0, 0, 4094);
      const auto last = vlan["vlanEnd"].int_or(first, 0, 4094);
      for (auto id = first; id <= last; ++id) {
        std::string text = concat(id);
        for (const std::string& flag : vlan["flags"].strings()) text += concat(" ", flag);
        out.insert(text);
      }
    }
  }
  return out;
}

std::string host_end(const cni::Json& result) {
  return result.root()["interfaces"].items().at(1)["name"].string();
}

}  // namespace

TEST_CASE("bridge VLAN: the port has the VLAN and no other", "[bridge][vlan]") {
  const VlanHost used;
  const Attachment one{.conf = vlan_conf(R"("vlan":100)"), .netns = used.first.path()};
  const cni::Json result = one.add();
  CHECK(vlans_of(host_end(result)) == std::multiset<std::string>{"100 PVID Egress Untagged"});
  CHECK(link_of("cni0").root()["linkinfo"]["info_data"]["vlan_filtering"].int_or(0, 0, 1) == 1);
  CHECK(one.run("CHECK", result).ok());

  SECTION("the gateway is a leg of the bridge in the VLAN") {
    const auto interfaces = result.root()["interfaces"].items();
    REQUIRE(interfaces.size() == 4);
    CHECK(interfaces[3]["name"].string() == "cni0.100");
    CHECK(addresses_of("cni0.100") == std::vector<std::string>{"10.1.2.1/24", "2001:db8:1::1/64"});
    CHECK(addresses_of("cni0").empty());
    CHECK(can_ping(used.first.net(), "10.1.2.1"));
    CHECK(can_ping(used.first.net(), "2001:db8:1::1"));
  }
  SECTION("neighbours of the VLAN are reached, others are not") {
    const Attachment two{.conf = one.conf, .netns = used.second.path(), .id = "c2"};
    const cni::Json second = two.add();
    CHECK(can_ping(used.first.net(), "10.1.2.3"));
    tool(concat("bridge vlan del dev ", host_end(second), " vid 100"));
    CHECK_FALSE(run({.argv = {"ping", "-c1", "-W1", "10.1.2.3"}, .net = &used.first.net()}).ok());
    const Output check = two.run("CHECK", second);
    CHECK(code_of(check) == 101);
    CHECK_THAT(message_of(check), Catch::Contains("not in VLAN 100"));
  }
  SECTION("DEL and a GC without attachments leave nothing") {
    one.del();
    CHECK(has_link("cni0.100"));
    REQUIRE(run_gc(one.conf, {}).ok());
    CHECK_FALSE(has_link("cni0.100"));
    CHECK_FALSE(has_link("cni0"));
  }
}

TEST_CASE("bridge VLAN: a gateway whose ADD died before it was finished", "[bridge][vlan]") {
  const VlanHost used;
  const Attachment one{.conf = vlan_conf(R"("vlan":100)"), .netns = used.first.path()};
  const cni::Json result = one.add();
  std::vector<std::string> ports = ports_of("cni0");
  std::erase(ports, host_end(result));
  REQUIRE(ports.size() == 1);
  const std::string unfinished = concat(" group ", kUnfinishedGroup);
  tool(concat("bridge vlan del dev ", ports[0], " vid 100"));
  for (const std::string& end : {ports[0], std::string("cni0.100")}) {
    tool(concat("ip link set ", end, unfinished));
    REQUIRE(run({.argv = {"ip", "link", "set", end, "alias", ""}}).ok());
  }
  SECTION("CHECK names it") {
    tool("ip link del cni0.100");
    const Output check = one.run("CHECK", result);
    CHECK(code_of(check) == 101);
    CHECK_THAT(message_of(check), Catch::Contains("cni0.100"));
  }
  SECTION("is finished by the next ADD") {
    Attachment{.conf = one.conf, .netns = used.second.path(), .id = "c2"}.add();
    CHECK(vlans_of(ports[0]) == std::multiset<std::string>{"100 PVID Egress Untagged"});
    CHECK(link_of("cni0.100").root()["group"].string() == "default");
    CHECK(can_ping(used.second.net(), "10.1.2.1"));
  }
  SECTION("goes with the bridge") {
    one.del();
    REQUIRE(run_gc(one.conf, {}).ok());
    CHECK_FALSE(has_link("cni0"));
    CHECK_FALSE(has_link("cni0.100"));
  }
}

TEST_CASE("bridge VLAN: trunks", "[bridge][vlan]") {
  const VlanHost used;
  SECTION("with a VLAN of its own") {
    const Attachment one{
        .conf = vlan_conf(R"("vlan":100,"vlanTrunk":[{"id":7},{"minID":200,"maxID":203}])"),
        .netns = used.first.path()};
    const cni::Json result = one.add();
    CHECK(vlans_of(host_end(result)) ==
          std::multiset<std::string>{"7", "100 PVID Egress Untagged", "200", "201", "202", "203"});
    CHECK(one.run("CHECK", result).ok());
  }
  SECTION("without: untagged traffic stays in VLAN 1") {
    const Attachment one{.conf = vlan_conf(R"("vlanTrunk":[{"minID":1,"maxID":4094}])"),
                         .netns = used.first.path()};
    const cni::Json result = one.add();
    const auto vlans = vlans_of(host_end(result));
    CHECK(vlans.size() == 4094);
    CHECK(vlans.count("1 PVID Egress Untagged") == 1);
    CHECK(can_ping(used.first.net(), "10.1.2.1"));
    CHECK(one.run("CHECK", result).ok());
  }
  SECTION("preserveDefaultVlan keeps VLAN 1") {
    const Attachment one{.conf = vlan_conf(R"("vlan":100,"preserveDefaultVlan":true)"),
                         .netns = used.first.path()};
    const cni::Json result = one.add();
    CHECK(vlans_of(host_end(result)) ==
          std::multiset<std::string>{"1 Egress Untagged", "100 PVID Egress Untagged"});
    CHECK(one.run("CHECK", result).ok());
  }
  SECTION("an empty list only asks for filtering") {
    const Attachment one{.conf = vlan_conf(R"("vlanTrunk":[])"), .netns = used.first.path()};
    CHECK(vlans_of(host_end(one.add())) == std::multiset<std::string>{"1 PVID Egress Untagged"});
    CHECK(link_of("cni0").root()["linkinfo"]["info_data"]["vlan_filtering"].int_or(0, 0, 1) == 1);
  }
}

TEST_CASE("bridge VLAN: a bridge without filtering", "[bridge][vlan]") {
  const VlanHost used;
  tool("ip link add cni0 type bridge");
  const Attachment one{.conf = vlan_conf(R"("vlan":100)"), .netns = used.first.path()};
  SECTION("is switched when nobody uses it") {
    one.add();
    CHECK(link_of("cni0").root()["linkinfo"]["info_data"]["vlan_filtering"].int_or(0, 0, 1) == 1);
  }
  SECTION("is left alone when somebody does, and the error names the command") {
    tool("ip link add p0 type veth peer name p1");
    tool("ip link set p0 master cni0");
    const Snapshot before = snapshot_host().without_hints();
    const Output add = one.run("ADD");
    CHECK(code_of(add) == 102);
    CHECK_THAT(message_of(add), Catch::Contains("ip link set cni0 type bridge vlan_filtering 1"));
    CHECK(difference(before.only("link"), snapshot_host().without_hints().only("link")) == "");
    CHECK(leases_of().empty());
  }
}

TEST_CASE("bridge VLAN: a long bridge name gets a short gateway name", "[bridge][vlan]") {
  const VlanHost used;
  const Attachment one{.conf = vlan_conf(R"("bridge":"verylongbridge0","vlan":4094)"),
                       .netns = used.first.path()};
  const cni::Json result = one.add();
  const std::string name = result.root()["interfaces"].items().at(3)["name"].string();
  CHECK(name.size() <= 15);
  CHECK_THAT(name, Catch::EndsWith(".4094"));
  CHECK(addresses_of(name).size() == 2);
  CHECK(can_ping(used.first.net(), "10.1.2.1"));
}

TEST_CASE("bridge VLAN: STATUS tells whether the kernel can filter", "[bridge][vlan]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Output probe =
      run({.argv = {"ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1"}});
  if (probe.ok()) tool("ip link del probe");
  const Snapshot before = snapshot_host();
  const Output status =
      Attachment{.conf = vlan_conf(R"("vlan":100)"), .netns = sandbox.path()}.run("STATUS");
  CHECK(code_of(status) == (probe.ok() ? 0 : 50));
  CHECK(difference(before.only("link"), snapshot_host().only("link")) == "");
}

TEST_CASE("bridge VLAN: bad values are refused before anything is made", "[bridge][vlan]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const std::vector<std::pair<const char*, const char*>> all = {
      {R"("vlan":4095)", "vlan: invalid VLAN ID 4095"},
      {R"("vlan":-1)", "vlan: invalid VLAN ID -1"},
      {R"("vlan":"5")", "vlan: invalid VLAN ID"},
      {R"("vlanTrunk":[null])", "vlanTrunk[0]"},
      {R"("vlanTrunk":[{"id":0}])", "incorrect trunk id parameter"},
      {R"("vlanTrunk":[{"minID":5}])", "maxID is missing"},
      {R"("vlanTrunk":[{"maxID":5}])", "minID is missing"},
      {R"("vlanTrunk":[{"minID":6,"maxID":5}])", "minID is greater than maxID"},
      {R"("vlanTrunk":[{"id":3},{"minID":1,"maxID":5000}])", "vlanTrunk[1].maxID"},
  };
  const Snapshot before = snapshot_host();
  for (const auto& [members, message] : all) {
    const Output add = Attachment{.conf = vlan_conf(members), .netns = sandbox.path()}.run("ADD");
    INFO(members);
    CHECK(code_of(add) == 7);
    CHECK_THAT(message_of(add), Catch::Contains(message));
  }
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bridge macspoofchk: frames with another source MAC are dropped", "[bridge][spoof]") {
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox first("c1");
  const TestSandbox second("c2");
  const std::string conf = vlan_conf(R"("macspoofchk":true)");
  const Attachment one{.conf = conf, .netns = first.path()};
  const Attachment two{.conf = conf, .netns = second.path(), .id = "c2"};
  const cni::Json result = one.add();
  two.add();
  REQUIRE(can_ping(first.net(), "10.1.2.3"));
  CHECK(one.run("CHECK", result).ok());

  SECTION("spoofing") {
    tool("ip link set dev eth0 address 02:00:00:00:00:99", &first.net());
    CHECK_FALSE(run({.argv = {"ping", "-c1", "-W1", "10.1.2.1"}, .net = &first.net()}).ok());
    CHECK(can_ping(second.net(), "10.1.2.1"));  // the neighbour is not concerned
    tool(concat("ip link set dev eth0 address ",
                result.root()["interfaces"].items().at(2)["mac"].string()),
         &first.net());
    CHECK(can_ping(first.net(), "10.1.2.1"));
  }
  SECTION("CHECK names what is missing") {
    const auto breakage = GENERATE(values<const char*>({
        "nft flush chain bridge cnipp prerouting",
        "nft flush map bridge cnipp macspoof",
        "nft delete table bridge cnipp",
    }));
    tool(breakage);
    const Output check = one.run("CHECK", result);
    CHECK(code_of(check) == 101);
    CHECK_THAT(message_of(check), Catch::Contains("macspoofchk"));
  }
  SECTION("DEL without the netns removes exactly the container's check") {
    Attachment gone = one;
    gone.netns = "";
    gone.del();
    const std::string rules = tool("nft list table bridge cnipp");
    CHECK(rules.find("id: c1") == std::string::npos);
    CHECK(rules.find("id: c2") != std::string::npos);
    two.del();
    CHECK(tool("nft list tables").find("bridge cnipp") == std::string::npos);
  }
  SECTION("GC removes the checks of what is not valid") {
    REQUIRE(run_gc(conf, {"c2"}).ok());
    const std::string rules = tool("nft list table bridge cnipp");
    CHECK(rules.find("id: c1") == std::string::npos);
    CHECK(rules.find("id: c2") != std::string::npos);
  }
}

TEST_CASE("bridge VLAN: a hundred thousand ranges are as good as one", "[bridge][vlan]") {
  const TestHost host;
  std::string trunk;
  for (int i = 0; i < 100'000; ++i) {
    trunk += concat(trunk.empty() ? "" : ",", R"({"minID":1,"maxID":4094})");
  }
  const std::string conf = bridge_conf(concat(R"("vlanTrunk":[)", trunk, R"(,{"id":4095}])"));
  const Attachment attachment{.conf = conf, .netns = ""};
  const Output output = attachment.run("STATUS");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains("vlanTrunk[100000].id"));
}

TEST_CASE("bridge VLAN: a kernel without VLAN filtering is told so by name", "[bridge][vlan]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Output probe =
      run({.argv = {"ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1"}});
  if (probe.ok()) skip("this kernel has VLAN filtering");
  for (const char* const verb : {"ADD", "STATUS"}) {
    const Output output =
        Attachment{.conf = bridge_conf(R"("vlan":5)"), .netns = sandbox.path()}.run(verb);
    CHECK(code_of(output) == (verb == std::string_view("ADD") ? 100 : 50));
    CHECK_THAT(message_of(output), contains("CONFIG_BRIDGE_VLAN_FILTERING"));
  }
}
