// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Every key of the configuration, seen in the kernel.
#include <algorithm>

#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

struct Added {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Attachment attachment;
  cni::Json result;
  std::string port;

  explicit Added(const std::string& conf, std::string args = "")
      : attachment{.conf = conf, .netns = sandbox.path(), .args = std::move(args)},
        result(attachment.add()),
        port(ports_of("cni0").at(0)) {}
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] cni::Json port_link() const { return link_of(port); }
};

bool flag(const cni::Json& link, std::string_view name) {
  return link.root()["flags"].text().find(cni::quote(name)) != std::string::npos;
}

cni::Json port_data(const Added& added) {
  return cni::Json(added.port_link().root()["linkinfo"]["info_slave_data"]);
}

}  // namespace

TEST_CASE("bridge ADD: the complete state of a dual-stack attachment", "[bridge][add]") {
  const Added added(bridge_conf(concat(R"("mtu":1400,)", kDualStack)));
  const auto inside = added.inside();
  // The host's side.
  const cni::Json bridge = link_of("cni0");
  CHECK(bridge.root()["mtu"].text() == "1400");
  CHECK(flag(bridge, "UP"));
  CHECK(tool("cat /sys/class/net/cni0/addr_assign_type") == "3\n");
  CHECK(addresses_of("cni0") == std::vector<std::string>{"10.1.2.1/24", "2001:db8:1::1/64"});
  CHECK(tool("ip addr show dev cni0").find("brd 10.1.2.255") != std::string::npos);
  const cni::Json port = added.port_link();
  CHECK(port.root()["mtu"].text() == "1400");
  CHECK(port.root()["txqlen"].int_or(0, 0, 9999) == 0);
  CHECK(port.root()["num_tx_queues"].text() == "1");
  CHECK(tool(concat("ip -6 addr show dev ", added.port)) == "");
  CHECK(port.root()["master"].string() == "cni0");
  const auto data = port.root()["linkinfo"]["info_slave_data"];
  CHECK(data["state"].string() == "forwarding");
  CHECK_FALSE(data["hairpin"].bool_or(true));
  CHECK_FALSE(data["isolated"].bool_or(true));
  for (const std::string& link : {std::string("cni0"), added.port}) {
    CHECK(added.host.net().sysctl(concat("net/ipv6/conf/", link, "/accept_ra")) == "0");
  }
  CHECK(added.host.net().sysctl("net/ipv4/ip_forward") == "1");
  CHECK(added.host.net().sysctl("net/ipv6/conf/all/forwarding") == "1");
  CHECK(masqueraded() == std::vector<std::string>{"10.1.2.2", "2001:db8:1::2"});
  // The container's.
  const cni::Json eth0 = link_of("eth0", inside);
  CHECK(eth0.root()["mtu"].text() == "1400");
  CHECK(eth0.root()["num_tx_queues"].text() == "1");
  CHECK(flag(eth0, "UP"));
  CHECK(addresses_of("eth0", inside) ==
        std::vector<std::string>{"10.1.2.2/24", "2001:db8:1::2/64"});
  CHECK(tool("ip -6 addr show dev eth0 scope global", inside).find("tentative") ==
        std::string::npos);
  CHECK(tool("ip -4 route show default", inside) == "default via 10.1.2.1 dev eth0 \n");
  CHECK_THAT(tool("ip -6 route show default", inside),
             contains("default via 2001:db8:1::1 dev eth0 metric 1024"));
  CHECK(added.sandbox.net().sysctl("net/ipv6/conf/eth0/accept_dad") == "0");
  CHECK(added.sandbox.net().sysctl("net/ipv6/conf/eth0/enhanced_dad") == "1");
  CHECK(added.sandbox.net().sysctl("net/ipv6/conf/eth0/keep_addr_on_down") == "1");
  CHECK(added.sandbox.net().sysctl("net/ipv4/conf/eth0/arp_notify") == "1");
  CHECK_FALSE(flag(link_of("lo", inside), "UP"));
  // The result.
  const auto root = added.result.root();
  const auto interfaces = root["interfaces"].items();
  REQUIRE(interfaces.size() == 3);
  CHECK(interfaces[0]["name"].string() == "cni0");
  CHECK(interfaces[1]["name"].string() == added.port);
  CHECK(interfaces[2]["name"].string() == "eth0");
  CHECK(interfaces[2]["sandbox"].string() == added.sandbox.path());
  CHECK_FALSE(interfaces[0]["sandbox"].written());
  const std::pair<const cni::JsonRef*, const cni::Json*> kernel[] = {
      {&interfaces[0], &bridge}, {&interfaces[1], &port}, {&interfaces[2], &eth0}};
  for (const auto& [reported, link] : kernel) {
    CHECK((*reported)["mac"].string() == link->root()["address"].string());
    CHECK((*reported)["mtu"].text() == link->root()["mtu"].text());
  }
  REQUIRE(root["ips"].items().size() == 2);
  for (const auto& ip : root["ips"].items()) CHECK(ip["interface"].text() == "2");
  CHECK(root["routes"].text() ==
        R"([{"dst":"0.0.0.0/0","gw":"10.1.2.1"},{"dst":"::/0","gw":"2001:db8:1::1"}])");
  CHECK_FALSE(root["dns"].written());
}

TEST_CASE("bridge ADD: the result in every version", "[bridge][add]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  const Added added(bridge_conf(kDualStack, version));
  const auto root = added.result.root();
  INFO(added.result.dump(2));
  CHECK(root["cniVersion"].string() == version);
  CHECK(root["dns"].written() == (version < "1.0.0"));
  if (version < "0.3.0") {
    CHECK(root["ip4"]["ip"].string() == "10.1.2.2/24");
    CHECK(root["ip4"]["gateway"].string() == "10.1.2.1");
    CHECK(root["ip6"]["ip"].string() == "2001:db8:1::2/64");
    CHECK(root["ip6"]["routes"].items().at(0)["dst"].string() == "::/0");
    return;
  }
  CHECK(root["interfaces"].items().size() == 3);
  CHECK(root["interfaces"].items()[0]["mtu"].written() == (version == "1.1.0"));
  CHECK(root["ips"].items().at(0)["version"].written() == (version < "1.0.0"));
  if (version >= "0.4.0") {
    const Output check = added.attachment.run("CHECK", added.result);
    INFO(check.text());
    CHECK(check.ok());
  }
}

TEST_CASE("bridge ADD: layer 2 cannot be told in 0.1.0 and 0.2.0, and nothing is made",
          "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  const std::string version = GENERATE("0.1.0", "0.2.0");
  const Output output =
      Attachment{.conf = bridge_conf("", version), .netns = sandbox.path()}.run("ADD");
  CHECK_FALSE(output.ok());
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bridge ADD: layer 2", "[bridge][add]") {
  const char* const members = GENERATE("", R"("ipam":{})", R"("ipam":null)", R"("mtu":1300)");
  const Added added(bridge_conf(members));
  CHECK(flag(link_of("eth0", added.inside()), "UP"));
  CHECK(addresses_of("eth0", added.inside()).empty());
  CHECK(addresses_of("cni0").empty());
  CHECK(added.host.net().sysctl("net/ipv4/ip_forward") == "0");
  CHECK_FALSE(added.result.root()["ips"].written());
}

TEST_CASE("bridge ADD: the result has the bridge as the new port has left it", "[bridge][add]") {
  const TestHost host;
  const TestSandbox first("c1"), second("c2");
  // The new port has the lowest MAC, which a bridge without one of its own takes over.
  const bool foreign = GENERATE(false, true);
  INFO(foreign);
  if (foreign) {
    tool("ip link add cni0 type bridge");
    tool("ip link set cni0 up");
  } else {
    Attachment{.conf = bridge_conf(""), .netns = first.path(), .id = "c1"}.add();
  }
  const auto result =
      Attachment{.conf = bridge_conf(R"("mtu":1300)"), .netns = second.path(), .id = "c2"}.add();
  const auto reported = result.root()["interfaces"].items()[0];
  const cni::Json bridge = link_of("cni0");
  CHECK(bridge.root()["mtu"].text() == "1300");
  CHECK(reported["mtu"].text() == "1300");
  CHECK(reported["mac"].string() == bridge.root()["address"].string());
}

TEST_CASE("bridge ADD: switches of the port and the bridge", "[bridge][add]") {
  SECTION("hairpinMode") {
    const Added added(bridge_conf(R"("hairpinMode":true)"));
    CHECK(port_data(added).root()["hairpin"].bool_or(false));
    CHECK_FALSE(port_data(added).root()["isolated"].bool_or(true));
  }
  SECTION("portIsolation") {
    const Added added(bridge_conf(R"("portIsolation":true)"));
    CHECK(port_data(added).root()["isolated"].bool_or(false));
    CHECK_FALSE(port_data(added).root()["hairpin"].bool_or(true));
  }
  SECTION("promiscMode") {
    const Added added(bridge_conf(R"("promiscMode":true)"));
    CHECK(flag(link_of("cni0"), "PROMISC"));
  }
  SECTION("promiscMode on an existing bridge") {
    const Added added(bridge_conf(""));
    CHECK_FALSE(flag(link_of("cni0"), "PROMISC"));
    const TestSandbox second("c2");
    Attachment{.conf = bridge_conf(R"("promiscMode":true)"), .netns = second.path(), .id = "c2"}
        .add();
    CHECK(flag(link_of("cni0"), "PROMISC"));
  }
  SECTION("disableContainerInterface") {
    const Added added(bridge_conf(R"("disableContainerInterface":true)"));
    CHECK_FALSE(flag(link_of("eth0", added.inside()), "UP"));
    CHECK(added.port_link().root()["master"].string() == "cni0");
  }
  SECTION("keys in another case, null values") {
    const Added added(bridge_conf(R"("HAIRPINMODE":true,"bridge":null,"mtu":null)"));
    CHECK(port_data(added).root()["hairpin"].bool_or(false));
  }
}

TEST_CASE("bridge ADD: refused configurations make nothing", "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  for (const auto& [members, named] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"("hairpinMode":true,"promiscMode":true)", "hairpin"},
           {R"("disableContainerInterface":true,"ipam":{"type":"host-local"})", "IPAM"},
           {R"("isGateway":"true")", "isGateway"},
           {R"("mtu":"1500")", "mtu"},
           {R"("mtu":1500.5)", "mtu"},
           {R"("mtu":70000)", "mtu"},
           {R"("runtimeConfig":{"mac":"zz"})", "runtimeConfig.mac"},
           {R"("runtimeConfig":{"mac":"01:00:5e:00:00:01"})", "runtimeConfig.mac"},
           {R"("ipMasqBackend":"pf")", "ipMasqBackend"},
           {R"("vlan":4095)", "vlan"},
           {R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.1/24"}]]})",
            "host bits"}}) {
    const Output output =
        Attachment{.conf = bridge_conf(members), .netns = sandbox.path()}.run("ADD");
    INFO(members << ": " << output.text());
    CHECK(code_of(output) > 0);
    CHECK_THAT(message_of(output), contains(named));
    CHECK(difference(before.only("link addr route nft"),
                     snapshot_host().only("link addr route nft")) == "");
  }
}

TEST_CASE("bridge ADD: the container's MAC, in the order of precedence", "[bridge][add]") {
  const auto& [members, args, mac] = GENERATE(table<const char*, const char*, const char*>({
      {R"("runtimeConfig":{"mac":"02:00:00:00:00:01"},"args":{"cni":{"mac":"02:00:00:00:00:02"}})",
       "MAC=02:00:00:00:00:03", "02:00:00:00:00:01"},
      {R"("args":{"cni":{"mac":"02-00-00-00-00-02"}})", "MAC=02:00:00:00:00:03",
       "02:00:00:00:00:02"},
      {R"("hairpinMode":false)", "MAC=0200.0000.0003", "02:00:00:00:00:03"},
      {R"("hairpinMode":false)", "FOO=1;IgnoreUnknown=true;MAC=02:00:00:00:00:AB",
       "02:00:00:00:00:ab"},
  }));
  const Added added(bridge_conf(members), args);
  CHECK(link_of("eth0", added.inside()).root()["address"].string() == mac);
  CHECK(added.result.root()["interfaces"].items().at(2)["mac"].string() == mac);
  CHECK(added.port_link().root()["address"].string() != mac);
}

TEST_CASE("bridge ADD: duplicate address detection on demand", "[bridge][add]") {
  const Added added(bridge_conf(concat(R"("enabledad":true,)", kDualStack)));
  CHECK(added.sandbox.net().sysctl("net/ipv6/conf/eth0/accept_dad") == "1");
  CHECK(added.sandbox.net().sysctl("net/ipv6/conf/eth0/enhanced_dad") == "1");
  CHECK(tool("ip -6 addr show dev eth0", added.inside()).find("tentative") == std::string::npos);
  CHECK_THAT(tool("ip -6 route show default", added.inside()), contains("2001:db8:1::1"));

  // Somebody has the next address already.
  tool("ip addr add 2001:db8:1::3/64 dev eth0 nodad", added.inside());
  const TestSandbox second("c2");
  Attachment duplicate = added.attachment;
  duplicate.netns = second.path();
  duplicate.id = "c2";
  const Output output = duplicate.run("ADD");
  INFO(output.text());
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains("2001:db8:1::3"));
  CHECK(ports_of("cni0").size() == 1);
  CHECK(leases_of().size() == 2);
}

TEST_CASE("bridge ADD: dns of the configuration replaces IPAM's as a whole", "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const auto& [dns, expected] = GENERATE(table<const char*, const char*>({
      {R"({"nameservers":["1.1.1.1"]})", R"({"nameservers":["1.1.1.1"]})"},
      {R"({"domain":"example.org","search":["a","b"],"options":["ndots:2"]})",
       R"({"domain":"example.org","options":["ndots:2"],"search":["a","b"]})"},
      {R"({"search":[]})", "null"},
      {R"({})", R"({"nameservers":["9.9.9.9"]})"},
      {"null", R"({"nameservers":["9.9.9.9"]})"},
  }));
  Attachment attachment{.conf = bridge_conf(concat(R"("ipam":{"type":"fixed"},"dns":)", dns)),
                        .netns = sandbox.path()};
  attachment.plugin_path = install_fixed_ipam(
      host,
      R"({"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24"}],"dns":{"nameservers":["9.9.9.9"]}})");
  INFO(dns);
  CHECK(attachment.add().root()["dns"].text() == expected);
}

TEST_CASE("bridge ADD: several range sets of both families, each with its gateway",
          "[bridge][add]") {
  const Added added(
      bridge_conf(R"("isDefaultGateway":true,"ipMasq":true,"ipam":{"type":"host-local","ranges":[)"
                  R"([{"subnet":"10.1.2.0/24"}],[{"subnet":"10.1.3.0/24","gateway":"10.1.3.254"}],)"
                  R"([{"subnet":"2001:db8:1::/64"}],[{"subnet":"2001:db8:2::/64"}]]})"));
  CHECK(addresses_of("cni0") == std::vector<std::string>{"10.1.2.1/24", "10.1.3.254/24",
                                                         "2001:db8:1::1/64", "2001:db8:2::1/64"});
  CHECK(addresses_of("eth0", added.inside()) ==
        std::vector<std::string>{"10.1.2.2/24", "10.1.3.1/24", "2001:db8:1::2/64",
                                 "2001:db8:2::2/64"});
  CHECK(tool("ip -4 route show default", added.inside()) == "default via 10.1.2.1 dev eth0 \n");
  CHECK(masqueraded().size() == 4);
  CHECK(added.attachment.run("CHECK", added.result).ok());
}

TEST_CASE("bridge ADD: routes with gateway, MTU, metric, table and scope", "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment{.conf = bridge_conf(R"("ipam":{"type":"fixed"})"), .netns = sandbox.path()};
  attachment.plugin_path = install_fixed_ipam(host, R"({"cniVersion":"1.1.0","ips":[
    {"address":"10.1.2.3/24","gateway":"10.1.2.1"},
    {"address":"2001:db8:1::3/64","gateway":"2001:db8:1::1"}],"routes":[
    {"dst":"10.20.0.0/16"},{"dst":"10.21.0.0/16","gw":"10.1.2.9"},
    {"dst":"10.22.0.0/16","mtu":1234,"advmss":1000},{"dst":"10.23.0.0/16","priority":55},
    {"dst":"10.24.0.0/16","table":88},{"dst":"10.20.0.0/16"},
    {"dst":"2001:db8:20::/48"},{"dst":"2001:db8:21::/48","gw":"2001:db8:1::9","priority":7}]})");
  const cni::Json result = attachment.add();
  const std::string v4 = tool("ip -4 route show table all", &sandbox.net());
  for (const char* const line :
       {"10.20.0.0/16 via 10.1.2.1 dev eth0", "10.21.0.0/16 via 10.1.2.9 dev eth0",
        "10.22.0.0/16 via 10.1.2.1 dev eth0 mtu 1234 advmss 1000",
        "10.23.0.0/16 via 10.1.2.1 dev eth0 metric 55",
        "10.24.0.0/16 via 10.1.2.1 dev eth0 table 88"}) {
    CHECK_THAT(v4, contains(line));
  }
  const std::string v6 = tool("ip -6 route", &sandbox.net());
  CHECK_THAT(v6, contains("2001:db8:20::/48 via 2001:db8:1::1 dev eth0 metric 1024"));
  CHECK_THAT(v6, contains("2001:db8:21::/48 via 2001:db8:1::9 dev eth0 metric 7"));
  const Output check = attachment.run("CHECK", result);
  INFO(check.text());
  CHECK(check.ok());
}

TEST_CASE("bridge ADD: a route on the link", "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment{.conf = bridge_conf(R"("ipam":{"type":"fixed"})"), .netns = sandbox.path()};
  attachment.plugin_path =
      install_fixed_ipam(host, R"({"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24"}],"routes":[
                           {"dst":"10.30.0.0/16","scope":253},{"dst":"0.0.0.0/0"}]})");
  const cni::Json result = attachment.add();
  const std::string routes = tool("ip -4 route", &sandbox.net());
  CHECK_THAT(routes, contains("10.30.0.0/16 dev eth0 scope link"));
  CHECK_THAT(routes, contains("default dev eth0"));
  CHECK(attachment.run("CHECK", result).ok());
}

TEST_CASE("bridge ADD: isGateway computes a missing gateway; IPAM's default route stays alone",
          "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment{.conf = bridge_conf(R"("isDefaultGateway":true,"ipam":{"type":"fixed"})"),
                        .netns = sandbox.path()};
  attachment.plugin_path = install_fixed_ipam(
      host, R"({"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.2.3/24"}],
                           "routes":[{"dst":"0.0.0.0/0"}]})");
  const cni::Json result = attachment.add();
  CHECK(addresses_of("cni0") == std::vector<std::string>{"10.1.2.1/24"});
  CHECK(tool("ip -4 route show default", &sandbox.net()) == "default via 10.1.2.1 dev eth0 \n");
  CHECK(result.root()["ips"].items().at(0)["gateway"].string() == "10.1.2.1");
}

TEST_CASE("bridge ADD: an IPAM plugin without an address fails, and all is undone",
          "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  const char* const answer = GENERATE(R"({"cniVersion":"1.1.0"})", "null", "[]", "",
                                      R"({"cniVersion":"9.9.9","ips":[]})", "no json");
  Attachment attachment{.conf = bridge_conf(R"("ipam":{"type":"fixed"})"), .netns = sandbox.path()};
  attachment.plugin_path = install_fixed_ipam(host, answer);
  const Output output = attachment.run("ADD");
  INFO(answer << output.text());
  CHECK(code_of(output) == 103);
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bridge ADD: a second ADD of the same attachment is refused and harms nothing",
          "[bridge][add]") {
  const Added added(bridge_conf(kDualStack));
  // The routes of link-local addresses come when the kernel has tested these.
  REQUIRE(eventually([] { return tool("ip -6 addr show tentative").empty(); }));
  const Snapshot before = snapshot_host().only("link route nft file");
  const Output again = added.attachment.run("ADD");
  CHECK(code_of(again) == 102);
  const TestSandbox elsewhere("c9");
  Attachment moved = added.attachment;
  moved.netns = elsewhere.path();
  CHECK(code_of(moved.run("ADD")) == 102);
  CHECK(added.attachment.run("CHECK", added.result).ok());
  CHECK(difference(before, snapshot_host().only("link route nft file")) == "");
}

TEST_CASE("bridge ADD: two interfaces of one container", "[bridge][add]") {
  const Added added(bridge_conf(kDualStack));
  Attachment second = added.attachment;
  second.ifname = "net1";
  const cni::Json result = second.add();
  CHECK(masqueraded().size() == 4);
  CHECK(added.attachment.run("CHECK", added.result).ok());
  added.attachment.del();
  CHECK(masqueraded().size() == 2);
  CHECK(has_link("net1", added.inside()));
  second.del();
  CHECK(masqueraded().empty());
}

TEST_CASE("bridge ADD: IPv6 that the runtime switched off is switched on", "[bridge][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  sandbox.net().set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
  sandbox.net().set_sysctl("net/ipv6/conf/lo/disable_ipv6", "1");
  Attachment{.conf = bridge_conf(kDualStack), .netns = sandbox.path()}.add();
  CHECK(sandbox.net().sysctl("net/ipv6/conf/lo/disable_ipv6") == "0");
  CHECK(addresses_of("eth0", &sandbox.net()).size() == 2);
}
