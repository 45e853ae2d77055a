// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Connections from before a port was mapped or unmapped, with real flows.
#include "base/concat.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

const std::string kHostV4(OutsideHost::kHostV4), kHostV6(OutsideHost::kHostV6);
constexpr unsigned short kClient = 4000;

/// Whether the kernel tracks a flow whose first packet had this: "udp 192.0.2.2 192.0.2.1 5353".
bool is_tracked(std::string_view protocol, std::string_view from, std::string_view to, int port) {
  const auto* family = to.find(':') == to.npos ? "ipv4" : "ipv6";
  const std::string text = tool(concat("conntrack -L -f ", family, " -p ", protocol, " -s ", from,
                                       " -d ", to, " --dport ", port));
  return !text.empty();
}

}  // namespace

TEST_CASE("portmap ADD: a UDP flow from before follows the mapping", "[portmap][conntrack]") {
  const PortHost host;
  const Container web("web");
  const TestNamespace& outside = host.outside.net();
  const auto [address, own] = GENERATE(std::pair{OutsideHost::kHostV4, OutsideHost::kV4},
                                       std::pair{OutsideHost::kHostV6, OutsideHost::kV6});
  INFO(address);
  // The same client port throughout: to the host itself, to the container, to the host again.
  const Path to_host{outside, host.host.net(), address, 5353, kTrafficPatience, 0, kClient};
  const Path to_container{outside, web.net(), address, 5353, kTrafficPatience, 53, kClient};
  CHECK(udp_peer_seen(to_host) == own);
  CHECK(is_tracked("udp", own, address, 5353));
  const Attachment portmap = web.publish(mapping(5353, 53, "udp"));
  CHECK(udp_peer_seen(to_container) == own);
  portmap.del();
  CHECK(udp_peer_seen(to_host) == own);
}

TEST_CASE("portmap ADD: other flows stay", "[portmap][conntrack]") {
  const PortHost host;
  tool("ip addr add 192.0.2.7/24 dev uplink");
  const Container web("web");
  const Container dns("dns");
  const TestNamespace& outside = host.outside.net();
  const TestNamespace& self = host.host.net();
  const std::string own(OutsideHost::kV4);
  dns.publish(mapping(5353, 53, "udp", "192.0.2.7"));
  CHECK(udp_peer_seen({outside, self, kHostV4, 5353}));
  CHECK(udp_peer_seen({outside, self, kHostV4, 5354}));
  CHECK(tcp_peer_seen({outside, self, kHostV4, 5353}));
  CHECK(udp_peer_seen({web.net(), outside, own, 5353}));
  CHECK(udp_peer_seen({outside, dns.net(), "192.0.2.7", 5353, kTrafficPatience, 53}));
  web.publish(mapping(5353, 53, "udp"));
  CHECK_FALSE(is_tracked("udp", own, kHostV4, 5353));
  CHECK(is_tracked("udp", own, kHostV4, 5354));
  CHECK(is_tracked("tcp", own, kHostV4, 5353));
  CHECK(is_tracked("udp", web.v4(), own, 5353));
  CHECK(is_tracked("udp", own, "192.0.2.7", 5353));
}

TEST_CASE("portmap ADD: again does not cut what leads there already", "[portmap][conntrack]") {
  const PortHost host;
  const Container web("web");
  const Attachment portmap = web.publish(mapping(5353, 53, "udp") + "," + mapping(5355, 53, "udp"));
  CHECK(udp_peer_seen({host.outside.net(), web.net(), kHostV4, 5353, kTrafficPatience, 53}));
  portmap.add();
  CHECK(is_tracked("udp", OutsideHost::kV4, kHostV4, 5353));
}

TEST_CASE("portmap DEL: cuts every flow that it redirected, and no other", "[portmap][conntrack]") {
  const PortHost host;
  const Container web("web");
  const Container other("other");
  const TestNamespace& outside = host.outside.net();
  const std::string own(OutsideHost::kV4);
  const Attachment portmap = web.publish(mapping(8080, 80) + "," + mapping(5353, 53, "udp"));
  other.publish(mapping(8081, 80));
  CHECK(tcp_peer_seen({outside, web.net(), kHostV4, 8080, kTrafficPatience, 80}));
  CHECK(tcp_peer_seen({outside, web.net(), kHostV6, 8080, kTrafficPatience, 80}));
  CHECK(udp_peer_seen({outside, web.net(), kHostV4, 5353, kTrafficPatience, 53}));
  CHECK(tcp_peer_seen({outside, other.net(), kHostV4, 8081, kTrafficPatience, 80}));
  CHECK(tcp_peer_seen({web.net(), outside, own, 7000}));
  CHECK(tcp_peer_seen({host.host.net(), web.net(), web.v4(), 7001}));

  SECTION("DEL") { portmap.del(); }
  SECTION("DEL that knows nothing") {
    Attachment less = portmap;
    less.conf = portmap_conf("");
    less.del();
  }
  SECTION("DEL after a flush") {
    tool("nft flush ruleset");
    portmap.del();
  }
  SECTION("ADD without ports") {
    web.publish("");
    CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8081"});
  }
  SECTION("GC") {
    Attachment any = portmap;
    any.conf = with(any.conf, "cni.dev/valid-attachments",
                    cni::Json::parse(R"([{"containerID":"other","ifname":"eth0"}])"));
    CHECK(any.run("GC").ok());
  }
  CHECK_FALSE(is_tracked("tcp", own, kHostV4, 8080));
  CHECK_FALSE(is_tracked("tcp", OutsideHost::kV6, kHostV6, 8080));
  CHECK_FALSE(is_tracked("udp", own, kHostV4, 5353));
  CHECK(is_tracked("tcp", own, kHostV4, 8081));
  CHECK(is_tracked("tcp", web.v4(), own, 7000));
  CHECK(is_tracked("tcp", "10.1.2.1", web.v4(), 7001));
}

TEST_CASE("portmap GC: cuts the flows of several containers at once", "[portmap][conntrack]") {
  const PortHost host;
  const Container web("web"), other("other");
  const TestNamespace& outside = host.outside.net();
  const std::string own(OutsideHost::kV4);
  const Attachment portmap = web.publish(mapping(8080, 80));
  other.publish(mapping(8081, 80));
  CHECK(tcp_peer_seen({outside, web.net(), kHostV4, 8080, kTrafficPatience, 80}));
  CHECK(tcp_peer_seen({outside, other.net(), kHostV4, 8081, kTrafficPatience, 80}));
  CHECK(tcp_peer_seen({web.net(), outside, own, 7000}));
  CHECK(portmap.collecting({}).run("GC").ok());
  CHECK_FALSE(is_tracked("tcp", own, kHostV4, 8080));
  CHECK_FALSE(is_tracked("tcp", own, kHostV4, 8081));
  CHECK(is_tracked("tcp", web.v4(), own, 7000));
}
