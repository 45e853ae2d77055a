// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// CHECK compares everything that ADD made: break one thing after the other.
#include <functional>

#include "base/concat.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kEverything =
    R"("isDefaultGateway":true,"ipMasq":true,"mtu":1400,"ipam":{"type":"host-local",)"
    R"("ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]],)"
    R"("routes":[{"dst":"10.50.0.0/16"},{"dst":"10.60.0.0/16","gw":"10.1.2.9","priority":77},)"
    R"({"dst":"10.70.0.0/16","gw":"10.1.2.9","table":100},)"
    R"({"dst":"10.80.0.0/16","mtu":1300},{"dst":"2001:db8:50::/48","priority":88}]})";

struct Checked {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Attachment attachment;
  cni::Json result;

  explicit Checked(std::string_view members, std::string_view version = "1.1.0")
      : attachment{.conf = bridge_conf(members, version), .netns = sandbox.path()},
        result(attachment.add()) {}

  [[nodiscard]] Output check() const { return attachment.run("CHECK", result); }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
};

void require_noticed(const Checked& checked, const Mutation& mutation) {
  require_noticed(checked.attachment, checked.result, mutation);
}

}  // namespace

TEST_CASE("bridge CHECK: notices what is changed on the host and names it", "[bridge][check]") {
  const Checked checked(kEverything);
  REQUIRE(checked.check().ok());
  const std::string port = ports_of("cni0").at(0);
  const auto mac = [](std::string_view link) { return link_of(link).root()["address"].string(); };
  for (const Mutation& mutation : std::initializer_list<Mutation>{
           {concat("ip link set ", port, " down"), concat("ip link set ", port, " up"), port},
           {concat("ip link set ", port, " nomaster"), concat("ip link set ", port, " master cni0"),
            port},
           {concat("ip link set ", port, " address 02:00:00:00:00:99"),
            concat("ip link set ", port, " address ", mac(port)), port},
           {concat("ip link set ", port, " mtu 1399"), concat("ip link set ", port, " mtu 1400"),
            port},
           {concat("bridge link set dev ", port, " hairpin on"),
            concat("bridge link set dev ", port, " hairpin off"), "hairpin"},
           {concat("bridge link set dev ", port, " isolated on"),
            concat("bridge link set dev ", port, " isolated off"), "isolation"},
           {"ip link set cni0 address 02:00:00:00:00:98",
            concat("ip link set cni0 address ", mac("cni0")), "cni0"},
           {"ip addr del 10.1.2.1/24 dev cni0", "ip addr add 10.1.2.1/24 dev cni0", "10.1.2.1/24"},
           {"ip addr del 2001:db8:1::1/64 dev cni0", "ip addr add 2001:db8:1::1/64 dev cni0 nodad",
            "2001:db8:1::1/64"},
       }) {
    require_noticed(checked, mutation);
  }
  // Older kernels rename only what is down.
  tool(concat("ip link set ", port, " down"));
  require_noticed(checked, {concat("ip link set ", port, " name other0"), "", "veth"});
  tool(concat("ip link set other0 name ", port));
  tool(concat("ip link set ", port, " up"));
  for (const char* const key : {"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"}) {
    checked.host.net().set_sysctl(key, "0");
    const Output output = checked.check();
    CHECK(code_of(output) == 101);
    CHECK_THAT(message_of(output), contains(key));
    checked.host.net().set_sysctl(key, "1");
  }
  require_noticed(checked, {"ip link set cni0 down", "", "cni0"});
  // Going down took the IPv6 address along.
  tool("ip link set cni0 up");
  tool("ip addr add 2001:db8:1::1/64 dev cni0 nodad");
  CHECK(checked.check().ok());
  require_noticed(
      checked,
      {.change = "rm /var/lib/cni/networks/net1/10.1.2.2", .back = {}, .named = "host-local"});
}

TEST_CASE("bridge CHECK: notices what is changed in the container and names it",
          "[bridge][check]") {
  const Checked checked(kEverything);
  const std::string mac = link_of("eth0", checked.inside()).root()["address"].string();
  const auto routes_of = [&](const std::string& change, const std::string& back,
                             const std::string& named) {
    require_noticed(checked, {change, back, named, checked.inside()});
  };
  routes_of("ip link set eth0 address 02:00:00:00:00:97", concat("ip link set eth0 address ", mac),
            "eth0");
  routes_of("ip link set eth0 mtu 1398", "ip link set eth0 mtu 1400", "eth0");
  routes_of("ip route del 10.50.0.0/16", "ip route add 10.50.0.0/16 via 10.1.2.1", "10.50.0.0/16");
  routes_of("ip route replace default via 10.1.2.9", "ip route replace default via 10.1.2.1",
            "0.0.0.0/0");
  routes_of("ip route del 10.70.0.0/16 table 100",
            "ip route add 10.70.0.0/16 via 10.1.2.9 table 100", "10.70.0.0/16");
  routes_of("ip route replace 10.80.0.0/16 via 10.1.2.1 mtu 1200",
            "ip route replace 10.80.0.0/16 via 10.1.2.1 mtu 1300", "10.80.0.0/16");
  routes_of("ip -6 route del 2001:db8:50::/48",
            "ip -6 route add 2001:db8:50::/48 via 2001:db8:1::1 metric 88", "2001:db8:50::/48");
  SECTION("another metric than the configured one") {
    tool("ip route del 10.60.0.0/16", checked.inside());
    routes_of("ip route add 10.60.0.0/16 via 10.1.2.9 metric 78", "", "10.60.0.0/16");
  }
  SECTION("a metric where none was configured") {
    tool("ip route del 10.50.0.0/16", checked.inside());
    routes_of("ip route add 10.50.0.0/16 via 10.1.2.1 metric 5", "", "10.50.0.0/16");
  }
  SECTION("another device") {
    tool("ip link add other0 type bridge", checked.inside());
    tool("ip link set other0 up", checked.inside());
    tool("ip addr add 10.99.0.1/24 dev other0", checked.inside());
    tool("ip route del 10.50.0.0/16", checked.inside());
    routes_of("ip route add 10.50.0.0/16 via 10.1.2.1 dev other0 onlink", "", "10.50.0.0/16");
  }
  SECTION("an address") { routes_of("ip addr del 10.1.2.2/24 dev eth0", "", "10.1.2.2/24"); }
  SECTION("an address with another prefix") {
    tool("ip -6 addr del 2001:db8:1::2/64 dev eth0", checked.inside());
    routes_of("ip -6 addr add 2001:db8:1::2/120 dev eth0 nodad", "", "2001:db8:1::2/64");
  }
  SECTION("the interface is down") { routes_of("ip link set eth0 down", "", "eth0"); }
  SECTION("the interface has another name") {
    tool("ip link set eth0 down", checked.inside());
    routes_of("ip link set eth0 name eth7", "", "eth0");
  }
  SECTION("the interface is gone") { routes_of("ip link del eth0", "", "eth0"); }
}

TEST_CASE("bridge CHECK: notices that a bridge or port is gone", "[bridge][check]") {
  const Checked checked(kEverything);
  const std::string port = ports_of("cni0").at(0);
  SECTION("the bridge") { require_noticed(checked, {"ip link del cni0", "", "cni0"}); }
  SECTION("the port") { require_noticed(checked, {concat("ip link del ", port), "", "eth0"}); }
  SECTION("the bridge is another kind of link") {
    tool("ip link del cni0");
    require_noticed(checked, {"ip link add cni0 type veth peer name cni1", "", "not a bridge"});
  }
  SECTION("the port is on another bridge") {
    tool("ip link add cni7 type bridge");
    require_noticed(checked, {concat("ip link set ", port, " master cni7"), "", port});
  }
}

TEST_CASE("bridge CHECK: notices every missing masquerading object", "[bridge][check]") {
  const Checked checked(kEverything);
  REQUIRE(checked.check().ok());
  std::vector<std::string> chains, sets;
  const cni::Json ruleset = tool_json("nft -j list ruleset");
  for (const auto& object : ruleset.root()["nftables"].items()) {
    if (object["chain"].present()) chains.push_back(object["chain"]["name"].string());
    if (object["set"].present()) sets.push_back(object["set"]["name"].string());
  }
  REQUIRE(sets.size() == 2);
  REQUIRE(chains.size() == 6);
  for (const std::string& set : sets) {
    SECTION("an element of " + set) {
      require_noticed(checked, {concat("nft flush set inet cnipp ", set), "", set});
    }
  }
  SECTION("the ledger") {
    require_noticed(checked, {"nft flush map inet cnipp masq-ledger", "", "masq-ledger"});
  }
  std::erase_if(chains, [](const std::string& chain) { return chain.ends_with("-users"); });
  for (const std::string& chain : chains) {
    SECTION("the rules of chain " + chain) {
      require_noticed(checked, {concat("nft flush chain inet cnipp ", chain), "", chain});
    }
  }
  SECTION("the table") { require_noticed(checked, {"nft delete table inet cnipp", "", "masq"}); }
}

TEST_CASE("bridge CHECK: notices promiscuous mode, hairpin and isolation that were switched off",
          "[bridge][check]") {
  SECTION("promiscuous mode") {
    const Checked checked(R"("promiscMode":true)");
    REQUIRE(checked.check().ok());
    require_noticed(checked, {"ip link set cni0 promisc off", "", "promiscuous"});
  }
  SECTION("hairpin") {
    const Checked checked(R"("hairpinMode":true,"portIsolation":true)");
    REQUIRE(checked.check().ok());
    const std::string port = ports_of("cni0").at(0);
    require_noticed(checked, {concat("bridge link set dev ", port, " hairpin off"),
                              concat("bridge link set dev ", port, " hairpin on"), "hairpin"});
    require_noticed(checked, {concat("bridge link set dev ", port, " isolated off"), "", "isol"});
  }
}

TEST_CASE("bridge CHECK: passes where the reference's fails", "[bridge][check]") {
  const char* const members = GENERATE(
      R"("mtu":1400)",  // layer 2
      R"("ipam":{"type":"host-local","subnet":"10.1.2.0/24","routes":[{"dst":"10.9.0.0/16","table":77}]})",
      R"("disableContainerInterface":true)",
      R"("isGateway":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"10.1.3.0/24"}]]})");
  const char* const version = GENERATE("0.4.0", "1.0.0", "1.1.0");
  const Checked checked(members, version);
  const Output output = checked.check();
  INFO(members << " " << version << " " << output.text());
  CHECK(output.ok());
}

TEST_CASE("bridge CHECK: a /32 and a /128 pass", "[bridge][check]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment{.conf = bridge_conf(R"("ipam":{"type":"fixed"})"), .netns = sandbox.path()};
  attachment.plugin_path =
      install_script(host, "fixed",
                     R"([ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.1.0","ips":[)"
                     R"({"address":"10.1.2.3/32"},{"address":"2001:db8::3/128"}]}'; exit 0)");
  const cni::Json result = attachment.add();
  const Output output = attachment.run("CHECK", result);
  INFO(output.text());
  CHECK(output.ok());
}

TEST_CASE("bridge CHECK: passes what a later plugin changed and reported", "[bridge][check]") {
  Checked checked(kRouted);
  tool("ip link set eth0 address 02:00:00:00:00:44", checked.inside());
  tool("ip link set eth0 mtu 1300", checked.inside());
  CHECK(code_of(checked.check()) == 101);
  cni::Json interfaces = cni::Json::array();
  for (const auto& item : checked.result.root()["interfaces"].items()) {
    cni::Json one(item);
    if (item["name"].string() == "eth0") one.set("mac", "02:00:00:00:00:44").set("mtu", 1300);
    interfaces.push(std::move(one));
  }
  checked.result.set("interfaces", interfaces);
  const Output output = checked.check();
  INFO(output.text());
  CHECK(output.ok());

  SECTION("also further interfaces and their addresses") {
    interfaces.push(cni::Json::parse(R"({"name":"vpn0","sandbox":"/x"})"));
    cni::Json ips = cni::Json::array();
    for (const auto& ip : checked.result.root()["ips"].items()) ips.push(cni::Json(ip));
    ips.push(cni::Json::parse(R"({"address":"10.200.0.1/24","interface":3})"));
    checked.result.set("interfaces", interfaces).set("ips", ips);
    CHECK(checked.check().ok());
  }
}

TEST_CASE("bridge CHECK: needs a prevResult", "[bridge][check]") {
  const Checked checked(kRouted);
  const Output output = checked.attachment.run("CHECK");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains("prevResult"));
}

TEST_CASE("bridge CHECK: another container's result does not pass", "[bridge][check]") {
  const Checked checked(kRouted);
  const TestSandbox other("c2");
  Attachment second = checked.attachment;
  second.netns = other.path();
  second.id = "c2";
  const cni::Json result = second.add();
  CHECK(code_of(checked.attachment.run("CHECK", result)) == 101);
}

TEST_CASE("bridge CHECK: changes nothing", "[bridge][check]") {
  const TestHost host;
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = bridge_conf(kEverything), .netns = sandbox.path()};
  const cni::Json result = attachment.add();
  const Snapshot before = snapshot_host();
  CHECK(attachment.run("CHECK", result).ok());
  CHECK(difference(before, snapshot_host()) == "");
}
