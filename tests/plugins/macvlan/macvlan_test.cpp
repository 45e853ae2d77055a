// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What macvlan has beyond the contract of every interface plugin: masters, modes, MACs.
#include "base/concat.h"
#include "model/ip.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kV4 =
    R"("ipam":{"type":"static","addresses":[{"address":"192.0.2.10/24"}]})";

std::string macvlan_conf(std::string_view members, std::string_view version = "1.1.0") {
  return plugin_conf("macvlan", members, version);
}

/// A host whose default route leads over "uplink" to a machine outside.
struct Uplinked {
  TestHost host;
  OutsideHost outside{host};
  TestSandbox sandbox{"c1"};

  [[nodiscard]] Attachment attachment(const std::string& conf) const {
    return {.conf = conf, .netns = sandbox.path(), .plugin = "macvlan"};
  }
  [[nodiscard]] Output add(std::string_view members) const {
    return attachment(macvlan_conf(members)).run("ADD");
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] cni::Json data() const {
    return cni::Json(link_of("eth0", inside()).root()["linkinfo"]["info_data"]);
  }
  /// Which of the host's links carries the container's.
  [[nodiscard]] std::string master() const {
    const std::string index = link_of("eth0", inside()).root()["link_index"].text();
    const cni::Json links = tool_json("ip -j link");
    for (const auto& link : links.root().items()) {
      if (link["ifindex"].text() == index) return link["ifname"].string();
    }
    return "";
  }
};

/// A further link of the host that can carry others.
void add_link(std::string_view name) {
  tool(concat("ip link add ", name, " type veth peer name ", name, "-peer"));
  tool(concat("ip link set ", name, " up"));
  tool(concat("ip link set ", name, "-peer up"));
}

}  // namespace

TEST_CASE("macvlan ADD: a neighbour of the outside, over the default route's link",
          "[macvlan][add]") {
  const Uplinked on;
  const cni::Json result = on.attachment(macvlan_conf(kV4)).add();
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["linkinfo"]["info_kind"].string() == "macvlan");
  CHECK(on.data().root()["mode"].string() == "bridge");
  CHECK(on.master() == "uplink");
  CHECK(addresses_of("eth0", on.inside()) == std::vector<std::string>{"192.0.2.10/24"});
  CHECK(tcp_peer_seen({on.sandbox.net(), on.outside.net(), OutsideHost::kV4}) == "192.0.2.10");
  CHECK(tcp_peer_seen({on.outside.net(), on.sandbox.net(), "192.0.2.10"}) ==
        std::string(OutsideHost::kV4));
  const auto interfaces = result.root()["interfaces"].items();
  REQUIRE(interfaces.size() == 1);
  CHECK(interfaces[0]["name"].string() == "eth0");
  CHECK(interfaces[0]["mac"].string() == link.root()["address"].string());
  CHECK(interfaces[0]["mtu"].text() == link.root()["mtu"].text());
  CHECK(interfaces[0]["sandbox"].string() == on.sandbox.path());
  CHECK(result.root()["ips"].items().at(0)["interface"].text() == "0");
}

TEST_CASE("macvlan ADD: every mode", "[macvlan][add]") {
  const Uplinked on;
  const std::string mode = GENERATE("bridge", "private", "vepa", "passthru");
  const Output output = on.add(concat(R"("mode":")", mode, R"(",)", kV4));
  INFO(output.text());
  REQUIRE(output.ok());
  CHECK(on.data().root()["mode"].string() == mode);
}

TEST_CASE("macvlan ADD: a mode that does not exist, a MAC that passthru ignores",
          "[macvlan][add]") {
  const Uplinked on;
  const Snapshot before = snapshot_host();
  const auto& [members, named] = GENERATE(table<std::string, std::string>({
      {R"("mode":"source")", "mode: unknown macvlan mode: \"source\""},
      {R"("mode":"passthru","mac":"02:00:00:00:00:07")", "mac: "},
      {R"("bcqueuelen":-1)", "bcqueuelen: "},
      {R"("mtu":1501)", "mtu: "},
      {R"("master":"uplink9")", "master: "},
      {R"("master":[])", "master: "},
      {R"("master":["uplink9","mac:02:00:00:00:00:09"])", "master: "},
      {R"("master":"subnet:203.0.113.0/24")", "master: "},
      {R"("master":"subnet:203.0.113.0/33")", "master: "},
      {R"("ipv6":"off")", "ipv6: "},
  }));
  const Output output = on.add(concat(members, ",", kV4));
  INFO(members);
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains(named));
  CHECK(difference_in_the_end(before) == "");
  CHECK_FALSE(has_link("eth0", on.inside()));
}

TEST_CASE("macvlan ADD: without a default route the master must be named", "[macvlan][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Output output =
      Attachment{.conf = macvlan_conf(kV4), .netns = sandbox.path(), .plugin = "macvlan"}.run(
          "ADD");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains("master: "));
}

TEST_CASE("macvlan ADD: the master by IPv6's default route alone", "[macvlan][add]") {
  const Uplinked on;
  tool("ip -4 route del default");
  REQUIRE(on.add(kV4).ok());
  CHECK(on.master() == "uplink");
}

TEST_CASE("macvlan ADD: a default route that leads nowhere is no master", "[macvlan][add]") {
  const Uplinked on;
  tool("ip -4 route del default");
  tool("ip -4 route add blackhole default metric 1");
  REQUIRE(on.add(kV4).ok());
  CHECK(on.master() == "uplink");
}

TEST_CASE("macvlan ADD: the master by name, altname, MAC, subnet, and the first that exists",
          "[macvlan][add]") {
  const Uplinked on;
  add_link("second");
  tool("ip link property add dev second altname a-name-longer-than-fifteen");
  tool("ip link set second address 02:00:00:00:00:22");
  tool("ip addr add 203.0.113.1/24 dev second");
  tool("ip addr add 2001:db8:22::1/64 nodad dev second");
  const std::string master =
      GENERATE(R"("second")", R"("a-name-longer-than-fifteen")", R"("mac:02:00:00:00:00:22")",
               R"("mac:02-00-00-00-00-22")", R"("subnet:203.0.113.0/24")",
               R"("subnet:2001:db8:22::/64")", R"(["uplink9","mac:02:00:00:00:00:22","uplink"])");
  const Output output = on.add(concat(R"("master":)", master, ",", kV4));
  INFO(master << output.text());
  REQUIRE(output.ok());
  CHECK(on.master() == "second");
}

TEST_CASE("macvlan ADD: bcqueuelen and mtu", "[macvlan][add]") {
  const Uplinked on;
  const cni::Json result =
      on.attachment(macvlan_conf(concat(R"("bcqueuelen":77,"mtu":1400,)", kV4))).add();
  // The kernel keeps the longest wish of all links of one master.
  CHECK(on.data().root()["bcqueuelen"].text() == "77");
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == "1400");
  CHECK(result.root()["interfaces"].items().at(0)["mtu"].text() == "1400");
}

TEST_CASE("macvlan ADD: the MAC of the runtime, of CNI_ARGS, of the configuration",
          "[macvlan][add]") {
  const Uplinked on;
  const auto& [members, args, mac] = GENERATE(table<std::string, std::string, std::string>({
      {R"("mac":"02:00:00:00:00:01",)", "", "02:00:00:00:00:01"},
      {R"("mac":"02:00:00:00:00:01",)", "IgnoreUnknown=1;MAC=02:00:00:00:00:02",
       "02:00:00:00:00:02"},
      {R"("mac":"02:00:00:00:00:01","runtimeConfig":{"mac":"02:00:00:00:00:03"},)",
       "IgnoreUnknown=1;MAC=02:00:00:00:00:02", "02:00:00:00:00:03"},
  }));
  Attachment attachment = on.attachment(macvlan_conf(concat(members, kV4)));
  attachment.args = args;
  const cni::Json result = attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["address"].string() == mac);
  CHECK(result.root()["interfaces"].items().at(0)["mac"].string() == mac);
}

TEST_CASE("macvlan ADD: without addresses the link is there and up", "[macvlan][add]") {
  const Uplinked on;
  const std::string version = GENERATE("0.3.1", "1.0.0", "1.1.0");
  const Attachment attachment = on.attachment(macvlan_conf(R"("ipam":{})", version));
  const cni::Json result = attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["operstate"].string() != "DOWN");
  CHECK(result.root()["interfaces"].items().size() == 1);
  CHECK(result.root()["ips"].items().empty());
  if (version >= "0.4.0") CHECK(attachment.run("CHECK", result).ok());
}

TEST_CASE("macvlan ADD: a master inside the container", "[macvlan][add]") {
  const Uplinked on;
  tool("ip link add inner0 type veth peer name inner1", on.inside());
  tool("ip link set inner0 up", on.inside());
  tool("ip link set inner1 up", on.inside());
  const std::string conf =
      macvlan_conf(concat(R"("master":"inner0","linkInContainer":true,)", kV4));
  const Attachment attachment = on.attachment(conf);
  const cni::Json result = attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["link"].string() == "inner0");
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK_FALSE(has_link("eth0", on.inside()));
  CHECK(has_link("inner0", on.inside()));
}

TEST_CASE("macvlan ADD: no IPv6 on the link where it is switched off", "[macvlan][add]") {
  const Uplinked on;
  REQUIRE(on.add(concat(R"("ipv6":"disabled",)", kV4)).ok());
  CHECK(on.sandbox.net().sysctl("net/ipv6/conf/eth0/disable_ipv6") == "1");
  CHECK(tool("ip -6 addr show dev eth0", on.inside()).empty());
}

TEST_CASE("macvlan CHECK: notices mode, master and MAC", "[macvlan][check]") {
  const Uplinked on;
  add_link("second");
  const Attachment attachment =
      on.attachment(macvlan_conf(concat(R"("master":"uplink","mtu":1400,)", kV4)));
  const cni::Json result = attachment.add();
  REQUIRE(attachment.run("CHECK", result).ok());
  const std::string mac = link_of("eth0", on.inside()).root()["address"].string();
  const auto noticed = [&](const std::string& change, const std::string& back,
                           const std::string& named) {
    require_noticed(attachment, result, {change, back, named, on.inside()});
  };
  noticed("ip link set eth0 type macvlan mode private", "ip link set eth0 type macvlan mode bridge",
          "mode");
  noticed("ip link set eth0 address 02:00:00:00:00:97", concat("ip link set eth0 address ", mac),
          "eth0");
  noticed("ip link set eth0 mtu 1399", "ip link set eth0 mtu 1400", "eth0");
  noticed("ip addr del 192.0.2.10/24 dev eth0", "ip addr add 192.0.2.10/24 dev eth0",
          "192.0.2.10/24");
  SECTION("down") { noticed("ip link set eth0 down", "", "eth0"); }
  SECTION("another kind of the same name") {
    tool("ip link del eth0", on.inside());
    noticed("ip link add eth0 type veth peer name eth9", "", "macvlan");
  }
  SECTION("another master") {
    tool("ip link del eth0", on.inside());
    tool(concat("ip link add link second name moved0 address ", mac, " mtu 1400 type macvlan mode ",
                "bridge"));
    tool("ip link set moved0 netns c1");
    tool("ip link set moved0 name eth0", on.inside());
    noticed("ip link set eth0 up", "", "second");
  }
}

TEST_CASE("macvlan STATUS: a master that is missing or down", "[macvlan][status]") {
  const Uplinked on;
  const auto status = [&](std::string_view members) {
    return Attachment{.conf = macvlan_conf(members), .netns = "", .plugin = "macvlan"}.run(
        "STATUS");
  };
  CHECK(status(R"("master":"uplink")").ok());
  CHECK(status("").ok());
  const Output missing = status(R"("master":"uplink9")");
  CHECK(code_of(missing) == 50);
  CHECK_THAT(message_of(missing), contains("uplink9"));
  tool("ip link set uplink down");
  const Output down = status(R"("master":"uplink")");
  CHECK(code_of(down) == 50);
  CHECK_THAT(message_of(down), contains("uplink"));
}
