// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Where published ports lead, with packets.
#include "base/concat.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

using Seen = std::optional<std::string>;

const std::string kHostV4(OutsideHost::kHostV4), kHostV6(OutsideHost::kHostV6);
const std::string kGateway = "10.1.2.1", kGatewayV6 = "2001:db8:1::1";

const std::string kWeb = mapping(8080, 80) + "," + mapping(8080, 80, "udp");

/// Host port 8080 leads to port 80 of the container: whose address that sees.
Seen tcp(const TestNamespace& client, const Container& server, std::string_view address,
         std::chrono::milliseconds patience = kTrafficPatience) {
  return tcp_peer_seen({client, server.net(), address, 8080, patience, 80});
}
Seen udp(const TestNamespace& client, const Container& server, std::string_view address,
         std::chrono::milliseconds patience = kTrafficPatience) {
  return udp_peer_seen({client, server.net(), address, 8080, patience, 80});
}

}  // namespace

TEST_CASE("portmap: from outside, the client's address is seen", "[portmap][traffic]") {
  const PortHost host;
  const Container web("web");
  web.publish(kWeb);
  const TestNamespace& outside = host.outside.net();
  CHECK(tcp(outside, web, kHostV4) == OutsideHost::kV4);
  CHECK(tcp(outside, web, kHostV6) == OutsideHost::kV6);
  CHECK(udp(outside, web, kHostV4) == OutsideHost::kV4);
  CHECK(udp(outside, web, kHostV6) == OutsideHost::kV6);
}

TEST_CASE("portmap: SCTP, with either backend", "[portmap][traffic]") {
  if (!kernel_has_sctp()) skip("this kernel has no SCTP");
  const std::string members = GENERATE("", R"("backend":"iptables")");
  INFO(members);
  const PortHost host;
  const Container web("web");
  web.publish(mapping(8080, 80, "sctp"), members);
  const auto seen_at = [&](const std::string& address) {
    return sctp_peer_seen({host.outside.net(), web.net(), address, 8080, kTrafficPatience, 80});
  };
  CHECK(seen_at(kHostV4) == OutsideHost::kV4);
  CHECK(seen_at(kHostV6) == OutsideHost::kV6);
}

TEST_CASE("portmap: from the host itself, every local address", "[portmap][traffic]") {
  const PortHost host;
  const Container web("web");
  web.publish(kWeb);
  const TestNamespace& self = host.host.net();
  for (const auto* address : {"127.0.0.1", "127.0.0.2"}) {
    INFO(address);
    CHECK(tcp(self, web, address) == kGateway);
    CHECK(udp(self, web, address) == kGateway);
  }
  CHECK(tcp(self, web, "::1") == kGatewayV6);
  CHECK(udp(self, web, "::1") == kGatewayV6);
  CHECK(tcp(self, web, kHostV4) == kHostV4);
  CHECK(tcp(self, web, kHostV6) == kHostV6);
  CHECK(tcp(self, web, kGateway) == kGateway);
}

TEST_CASE("portmap: from the host's ::1 over several links", "[portmap][traffic]") {
  const PortHost host;
  const TestSandbox sandboxes[] = {TestSandbox("p1"), TestSandbox("p2")};
  std::vector<Attachment> portmaps;
  for (int i = 0; i < 2; ++i) {
    const Attachment ptp{.conf = plugin_conf("ptp", kDualStack),
                         .netns = sandboxes[i].path(),
                         .id = concat("p", i),
                         .plugin = "ptp"};
    portmaps.push_back({.conf = with(portmap_conf(mapping(8080 + i, 80)), "prevResult", ptp.add()),
                        .netns = ptp.netns,
                        .id = ptp.id,
                        .plugin = "portmap"});
    portmaps.back().add();
  }
  const auto answers = [&](int i) {
    const auto port = static_cast<unsigned short>(8080 + i);
    return tcp_peer_seen({host.host.net(), sandboxes[i].net(), "::1", port, kTrafficPatience, 80})
        .has_value();
  };
  for (int i = 0; i < 2; ++i) {
    INFO(i);
    CHECK(answers(i));
    CHECK(portmaps[static_cast<std::size_t>(i)].run("CHECK").ok());
  }
  const Attachment first{.conf = plugin_conf("ptp", kDualStack),
                         .netns = sandboxes[0].path(),
                         .id = "p0",
                         .plugin = "ptp"};
  portmaps[0].del();
  first.del();
  CHECK(answers(1));
}

TEST_CASE("portmap: from the host's 127.0.0.1 with br_netfilter", "[portmap][traffic]") {
  const PortHost host;
  host.set_bridge_netfilter(true);
  const Container web("web");
  web.publish(kWeb);
  CHECK(tcp(host.host.net(), web, "127.0.0.1") == kGateway);
  CHECK(udp(host.host.net(), web, "127.0.0.1") == kGateway);
}

TEST_CASE("portmap: from a container on the same bridge and from itself", "[portmap][traffic]") {
  const bool netfilter = GENERATE(false, true);
  INFO("br_netfilter: " << netfilter);
  const PortHost host;
  if (netfilter) host.set_bridge_netfilter(true);
  const Container web("web");
  const Container sibling("sibling");
  web.publish(kWeb);
  // Where answers pass through netfilter on the bridge, the sibling keeps its address.
  const Seen v4 = netfilter ? sibling.v4() : kGateway;
  const Seen v6 = netfilter ? sibling.v6() : kGatewayV6;
  CHECK(tcp(sibling.net(), web, kHostV4) == v4);
  CHECK(tcp(sibling.net(), web, kHostV6) == v6);
  CHECK(udp(sibling.net(), web, kHostV4) == v4);
  CHECK(tcp(web.net(), web, kHostV4) == kGateway);
  CHECK(tcp(web.net(), web, kHostV6) == kGatewayV6);
  CHECK(udp(web.net(), web, kHostV4) == kGateway);
}

TEST_CASE("portmap: from a container of another network", "[portmap][traffic]") {
  const PortHost host;
  const Container web("web");
  web.publish(kWeb);
  const TestSandbox other("other");
  const Attachment attachment{
      .conf =
          bridge_conf(R"("bridge":"br1","isDefaultGateway":true,"ipam":{"type":"host-local",)"
                      R"("ranges":[[{"subnet":"10.9.9.0/24"}],[{"subnet":"2001:db8:9::/64"}]]})",
                      "1.1.0", "net2"),
      .netns = other.path(),
      .id = "other"};
  attachment.add();
  CHECK(tcp(other.net(), web, kHostV4) == Seen("10.9.9.2"));
  CHECK(tcp(other.net(), web, kHostV6) == Seen("2001:db8:9::2"));
}

TEST_CASE("portmap: masqAll hides every client, snat false none", "[portmap][traffic]") {
  const PortHost host;
  const Container web("web");
  SECTION("masqAll") {
    web.publish(kWeb, R"("masqAll":true)");
    CHECK(tcp(host.outside.net(), web, kHostV4) == kGateway);
    CHECK(tcp(host.outside.net(), web, kHostV6) == kGatewayV6);
    CHECK(tcp(host.host.net(), web, "127.0.0.1") == kGateway);
  }
  SECTION("snat false") {
    web.publish(kWeb, R"("snat":false)");
    CHECK(tcp(host.outside.net(), web, kHostV4) == OutsideHost::kV4);
    CHECK(host.host.net().sysctl("net/ipv4/conf/cni0/route_localnet") == "0");
  }
}

TEST_CASE("portmap: only this host's addresses are redirected", "[portmap][traffic][security]") {
  const PortHost host;
  const Container web("web");
  const Container client("client");
  web.publish(kWeb);
  // The server is where the packets were sent to, not the container with the port.
  const auto direct = [](const TestNamespace& from, const TestNamespace& to, std::string_view at) {
    return tcp_peer_seen({from, to, at, 8080});
  };
  CHECK(direct(client.net(), host.outside.net(), OutsideHost::kV4) == kHostV4);
  CHECK(direct(client.net(), host.outside.net(), OutsideHost::kV6) == kHostV6);
  CHECK(direct(host.host.net(), host.outside.net(), OutsideHost::kV4) == kHostV4);
  CHECK(direct(web.net(), client.net(), client.v4()) == web.v4());
  CHECK(direct(client.net(), web.net(), web.v4()) == client.v4());
}

TEST_CASE("portmap: a hostIP binds to that address alone", "[portmap][traffic]") {
  const PortHost host;
  tool("ip addr add 192.0.2.7/24 dev uplink");
  tool("ip addr add 2001:db8:ffff::7/64 dev uplink nodad");
  const Container web("web");
  const TestNamespace& outside = host.outside.net();
  web.publish(concat(mapping(8080, 80, "tcp", "192.0.2.7"), ",",
                     mapping(8080, 80, "tcp", "2001:db8:ffff::7")));
  CHECK(tcp(outside, web, "192.0.2.7") == OutsideHost::kV4);
  CHECK(tcp(outside, web, "2001:db8:ffff::7") == OutsideHost::kV6);
  CHECK_FALSE(tcp(outside, web, kHostV4, kBrief));
  CHECK_FALSE(tcp(outside, web, kHostV6, kBrief));
  CHECK_FALSE(tcp(host.host.net(), web, "127.0.0.1", kBrief));
  CHECK(host.host.net().sysctl("net/ipv4/conf/cni0/route_localnet") == "0");
}

TEST_CASE("portmap: a specific hostIP goes before any address", "[portmap][traffic]") {
  const PortHost host;
  tool("ip addr add 192.0.2.7/24 dev uplink");
  const Container one("one");
  const Container any("any");
  one.publish(mapping(8080, 80, "tcp", "192.0.2.7"));
  any.publish(mapping(8080, 80));
  CHECK(tcp(host.outside.net(), one, "192.0.2.7") == OutsideHost::kV4);
  CHECK(tcp(host.outside.net(), any, kHostV4) == OutsideHost::kV4);
}

TEST_CASE("portmap: 0.0.0.0 is IPv4 and :: is IPv6", "[portmap][traffic]") {
  const PortHost host;
  const Container web("web");
  web.publish(mapping(8080, 80, "tcp", "0.0.0.0") + "," + mapping(8081, 80, "tcp", "::"));
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080"});
  CHECK(elements_of("hostports6") == std::vector<std::string>{"tcp . 8081"});
  CHECK(tcp(host.outside.net(), web, kHostV4) == OutsideHost::kV4);
}

TEST_CASE("portmap: 127.0.0.1 and ::1 are for the host alone", "[portmap][traffic][security]") {
  const std::string members = GENERATE("", R"("snat":false)");
  INFO(members);
  const PortHost host;
  const Container web("web");
  const Container sibling("sibling");
  web.publish(mapping(8080, 80, "tcp", "127.0.0.1") + "," + mapping(8080, 80, "tcp", "::1"),
              members);
  if (members.empty()) {
    CHECK(tcp(host.host.net(), web, "127.0.0.1") == kGateway);
    CHECK(tcp(host.host.net(), web, "::1") == kGatewayV6);
    CHECK_FALSE(tcp(host.host.net(), web, "127.0.0.2", kBrief));
  }
  CHECK_FALSE(tcp(host.outside.net(), web, kHostV4, kBrief));
  // A neighbour that sends to the loopback address itself.
  for (const TestNamespace* net : {&host.outside.net(), &sibling.net()}) {
    const bool is_sibling = net == &sibling.net();
    const std::string link = is_sibling ? "eth0" : "uplink";
    tool("ip addr flush dev lo", net);
    net->set_sysctl(concat("net/ipv4/conf/", link, "/route_localnet"), "1");
    tool(concat("ip route add 127.0.0.1/32 via ", is_sibling ? kGateway : kHostV4), net);
    CHECK_FALSE(tcp(*net, web, "127.0.0.1", kBrief));
  }
}

TEST_CASE("portmap: route_localnet does not open the host's loopback",
          "[portmap][traffic][security]") {
  const PortHost host;
  const Container web("web");
  const Container attacker("attacker");
  const Attachment portmap = web.publish(kWeb);
  CHECK(host.host.net().sysctl("net/ipv4/conf/cni0/route_localnet") == "1");
  tool("ip addr flush dev lo", &attacker.net());
  attacker.net().set_sysctl("net/ipv4/conf/eth0/route_localnet", "1");
  tool(concat("ip route add 127.0.0.1/32 via ", kGateway), &attacker.net());
  const auto reaches = [&] {
    return tcp_peer_seen({attacker.net(), host.host.net(), "127.0.0.1", 9999, kBrief});
  };
  CHECK_FALSE(reaches());
  // The test can tell: without the rule it would.
  tool("nft flush chain inet cnipp hostport-martians");
  CHECK(reaches() == attacker.v4());
  portmap.del();
  CHECK_FALSE(reaches());
}

TEST_CASE("portmap: the loopback is closed with the last container of a link",
          "[portmap][traffic][security]") {
  const PortHost host;
  const std::string members = GENERATE("", R"("backend":"iptables")");
  INFO(members);
  const auto is_open = [&] {
    return host.host.net().sysctl("net/ipv4/conf/cni0/route_localnet") == "1";
  };
  const Container one("one"), two("two");
  const Attachment first = one.publish(mapping(8080, 80), members);
  const Attachment second = two.publish(mapping(8081, 80), members);
  first.del();
  CHECK(is_open());
  SECTION("DEL") { second.del(); }
  SECTION("GC") { CHECK(second.collecting({}).run("GC").ok()); }
  SECTION("DEL after a flush") {
    tool("nft flush ruleset");
    second.del();
  }
  SECTION("GC after a flush") {
    tool("nft flush ruleset");
    CHECK(second.collecting({}).run("GC").ok());
  }
  SECTION("an ADD without loopback") {
    two.publish(mapping(8081, 80, "tcp", "192.0.2.1"), members);
  }
  CHECK_FALSE(is_open());
}

TEST_CASE("portmap: what somebody else opened stays open", "[portmap][traffic]") {
  const PortHost host;
  const Container web("web");
  host.host.net().set_sysctl("net/ipv4/conf/cni0/route_localnet", "1");
  web.publish(mapping(8080, 80)).del();
  CHECK(host.host.net().sysctl("net/ipv4/conf/cni0/route_localnet") == "1");
}

TEST_CASE("portmap: a bridge with the uplink in it is closed again",
          "[portmap][traffic][security]") {
  const PortHost host;
  tool("ip link add cni0 address 02:00:00:00:00:77 type bridge");
  tool("ip link set cni0 up");
  tool("ip link set uplink master cni0");
  tool("ip addr add 10.1.2.99/24 dev uplink", &host.outside.net());
  const Container web("web");
  tool("ip addr flush dev lo", &host.outside.net());
  host.outside.net().set_sysctl("net/ipv4/conf/uplink/route_localnet", "1");
  tool(concat("ip route add 127.0.0.1/32 via ", kGateway, " src 10.1.2.99"), &host.outside.net());
  const auto reaches = [&](std::chrono::milliseconds patience = kBrief) {
    return tcp_peer_seen({host.outside.net(), host.host.net(), "127.0.0.1", 9999, patience});
  };
  const Attachment portmap = web.publish(kWeb);
  CHECK_FALSE(reaches());
  portmap.del();
  web.bridge.del();
  CHECK(portmap.collecting({}).run("GC").ok());
  CHECK(web.bridge.collecting({}).run("GC").ok());
  CHECK_FALSE(tool("nft list ruleset").find("hostport") != std::string::npos);
  CHECK_FALSE(reaches());

  // The test can tell.
  host.host.net().set_sysctl("net/ipv4/conf/cni0/route_localnet", "1");
  CHECK(reaches(kTrafficPatience) == Seen("10.1.2.99"));
}

TEST_CASE("portmap: a reload leaves out a container whose link is gone",
          "[portmap][reload][security]") {
  const PortHost host;
  const Container web("web");
  const Attachment attachment = web.publish(kWeb);
  web.bridge.del();
  tool("ip link del cni0");
  const Output output = attachment.run("RESTORE");
  INFO(output.text());
  CHECK(output.ok());
  CHECK(host.host.net().sysctl("net/ipv4/conf/uplink/route_localnet") == "0");
}

TEST_CASE("portmap: the default route's link is not the way to a container",
          "[portmap][add][security]") {
  const PortHost host;
  const Container web("web");
  const Attachment attachment = web.portmap(portmap_conf(mapping(8080, 80)));
  web.bridge.del();
  tool("ip link del cni0");
  const Snapshot before = snapshot_host().only("nft iptables");
  const Output output = attachment.run("ADD");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), Catch::Contains("the way to 10.1.2.2 is link \"uplink\""));
  CHECK(host.host.net().sysctl("net/ipv4/conf/uplink/route_localnet") == "0");
  CHECK(difference(before, snapshot_host().only("nft iptables")) == "");
  CHECK(web.portmap(portmap_conf(mapping(8080, 80), R"("snat":false)")).run("ADD").ok());
}

TEST_CASE("portmap: who redirects at dstnat goes first", "[portmap][traffic][security]") {
  const PortHost host;
  const Container web("web");
  const Container service("service");
  web.publish(kWeb);
  tool("nft add table ip kube");
  tool("nft add chain ip kube services { type nat hook prerouting priority dstnat ; }");
  tool(concat("nft add rule ip kube services tcp dport 8080 dnat to ", service.v4(), ":80"));
  CHECK(tcp(host.outside.net(), service, kHostV4) == OutsideHost::kV4);
}

TEST_CASE("portmap: conditions hold for the attachment's own ports", "[portmap][traffic]") {
  const PortHost host;
  host.outside.net().set_sysctl("net/ipv4/conf/uplink/promote_secondaries", "1");
  tool("ip addr add 192.0.2.3/24 dev uplink", &host.outside.net());
  const Container web("web");
  const Container other("other");
  const TestNamespace& outside = host.outside.net();
  SECTION("a source") {
    web.publish(kWeb, R"("backend":"nftables","conditionsV4":["ip","saddr","!=","192.0.2.2"])");
    CHECK_FALSE(tcp(outside, web, kHostV4, kBrief));
    tool("ip addr del 192.0.2.2/24 dev uplink", &outside);
    CHECK(tcp(outside, web, kHostV4) == Seen("192.0.2.3"));
  }
  SECTION("a source that it must be") {
    web.publish(kWeb,
                R"("conditionsV4":["ip saddr 192.0.2.0/25"],"conditionsV6":["ip6 saddr ::9"])");
    CHECK(tcp(outside, web, kHostV4) == OutsideHost::kV4);
    CHECK_FALSE(tcp(outside, web, kHostV6, kBrief));
  }
  SECTION("a set of sources") {
    web.publish(kWeb, R"("conditionsV4":["ip","saddr","!=","{ 192.0.2.2, 10.9.0.1-10.9.0.6 }"])");
    CHECK_FALSE(tcp(outside, web, kHostV4, kBrief));
    tool("ip addr del 192.0.2.2/24 dev uplink", &outside);
    CHECK(tcp(outside, web, kHostV4) == Seen("192.0.2.3"));
  }
  SECTION("a range that it must be in") {
    web.publish(kWeb, R"("conditionsV4":["ip saddr { 192.0.2.3-192.0.2.9, 10.0.0.0/8 }"])");
    CHECK_FALSE(tcp(outside, web, kHostV4, kBrief));
    tool("ip addr del 192.0.2.2/24 dev uplink", &outside);
    CHECK(tcp(outside, web, kHostV4) == Seen("192.0.2.3"));
  }
  SECTION("a set of links") {
    web.publish(kWeb, R"("conditionsV4":["meta iifname { \"uplink\", eth9 }"])");
    CHECK(tcp(outside, web, kHostV4) == OutsideHost::kV4);
    CHECK_FALSE(tcp(host.host.net(), web, "127.0.0.1", kBrief));
  }
  SECTION("ports") {
    const Attachment attachment =
        web.publish(kWeb, R"("conditionsV4":["tcp dport { 8080-8089, 443 }"])");
    CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080"});
    CHECK(tcp(outside, web, kHostV4) == OutsideHost::kV4);
    CHECK(attachment.run("CHECK").ok());
  }
  SECTION("a link") {
    web.publish(kWeb, R"("conditionsV4":["iifname","!=","uplink"])");
    CHECK_FALSE(tcp(outside, web, kHostV4, kBrief));
    CHECK(tcp(host.host.net(), web, "127.0.0.1") == kGateway);
  }
  other.publish(mapping(8081, 80));
  CHECK(tcp_peer_seen({outside, other.net(), kHostV4, 8081, kTrafficPatience, 80}).has_value());
}

TEST_CASE("portmap: after DEL the port is the host's again", "[portmap][traffic][each-kernel]") {
  const PortHost host;
  const Container web("web");
  web.publish(kWeb).del();
  CHECK(tcp_peer_seen({host.outside.net(), host.host.net(), kHostV4, 8080}) == OutsideHost::kV4);
  CHECK(tcp_peer_seen({host.host.net(), host.host.net(), "::1", 8080}) == Seen("::1"));
}
