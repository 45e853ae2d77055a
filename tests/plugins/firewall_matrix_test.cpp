// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Who reaches whom, with packets: what the host filters x the policy x the address family.
#include "base/concat.h"
#include "plugins/firewall_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

/// Two containers on one bridge, one on another, a machine outside, and what the policy says.
struct Populated {
  std::string members;
  Network first, second;
  OutsideHost outside;
  Pod a, b, other;

  Populated(const TestHost& host, const std::string& policy, const std::vector<std::string>& env)
      : members(concat(R"("ingressPolicy":")", policy, "\"")),
        first{.firewall = members},
        second{.name = "net2", .bridge = "cni1", .number = 3, .firewall = members},
        outside(host),
        a(first, "a", env),
        b(first, "b", env),
        other(second, "other", env) {
    route_back(outside, {first, second});
    a.admit();
    b.admit();
    other.admit();
  }
};

struct Expected {
  bool same_bridge, other_bridge, from_outside, to_outside;
};

void check_path(const TestNamespace& from, const TestNamespace& to, const std::string& address,
                bool wanted, const char* what) {
  INFO(what << " to " << address);
  if (wanted) {
    CHECK(reaches(from, to, address));
  } else {
    CHECK(is_kept_from(from, to, address));
  }
}

void check_paths(const Populated& on, const Expected& expected) {
  for (const bool v4 : {true, false}) {
    const auto address = [v4](const Pod& pod) { return v4 ? pod.v4() : pod.v6(); };
    check_path(on.a.net(), on.b.net(), address(on.b), expected.same_bridge, "same bridge");
    check_path(on.b.net(), on.a.net(), address(on.a), expected.same_bridge, "same bridge");
    check_path(on.a.net(), on.other.net(), address(on.other), expected.other_bridge,
               "another bridge");
    check_path(on.other.net(), on.a.net(), address(on.a), expected.other_bridge, "another bridge");
    check_path(on.outside.net(), on.a.net(), address(on.a), expected.from_outside, "from outside");
    check_path(on.a.net(), on.outside.net(), std::string(v4 ? OutsideHost::kV4 : OutsideHost::kV6),
               expected.to_outside, "to the outside");
  }
}

void verify_all(const Populated& on) {
  for (const Pod* pod : {&on.a, &on.b, &on.other}) {
    const Output checked = pod->firewall("CHECK");
    INFO(checked.text());
    CHECK(checked.ok());
  }
}

Expected expected_of(const std::string& policy, bool filtered) {
  return {.same_bridge = policy != "isolated",
          .other_bridge = policy == "open",
          .from_outside = !filtered,
          .to_outside = true};
}

}  // namespace

TEST_CASE("firewall connectivity: a host that filters nothing", "[firewall][matrix]") {
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  const TestHost host;
  const Populated on(host, policy, {});
  INFO(policy);
  check_paths(on, expected_of(policy, false));
  verify_all(on);
}

TEST_CASE("firewall connectivity: iptables drops what is forwarded, as docker sets it",
          "[firewall][matrix]") {
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  const TestHost host;
  const bool by_policy = policy != "same-bridge";
  for (const char* const program : {"iptables", "ip6tables"}) {
    tool(by_policy ? concat(program, " -P FORWARD DROP")
                   : concat(program, " -A FORWARD -j REJECT"));
  }
  const Populated on(host, policy, {});
  INFO(policy);
  check_paths(on, expected_of(policy, true));
  verify_all(on);
}

TEST_CASE("firewall connectivity: the iptables backend where iptables drops",
          "[firewall][matrix]") {
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  const TestHost host;
  for (const char* const program : {"iptables", "ip6tables"}) {
    tool(concat(program, " -P FORWARD DROP"));
  }
  const Populated on(host, concat(policy, R"(","backend":"iptables)"), {});
  INFO(policy);
  check_paths(on, expected_of(policy, true));
  verify_all(on);
}

TEST_CASE("firewall connectivity: firewalld", "[firewall][matrix]") {
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  const TestHost host;
  const Firewalld firewalld(host);
  const Populated on(host, policy, {firewalld.variable()});
  INFO(policy);
  check_paths(on, expected_of(policy, true));
  verify_all(on);
}

TEST_CASE("firewall connectivity: a table of the administrator's that drops",
          "[firewall][matrix]") {
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  const TestHost host;
  // Bridged packets are the bridge's affair.
  host.net().set_sysctl("net/bridge/bridge-nf-call-iptables", "0");
  host.net().set_sysctl("net/bridge/bridge-nf-call-ip6tables", "0");
  tool("nft add table inet site");
  tool("nft add chain inet site gate { type filter hook forward priority 0 ; policy drop ; }");
  const Populated on(host, policy, {});
  INFO(policy);
  check_paths(on, {.same_bridge = policy != "isolated",
                   .other_bridge = false,
                   .from_outside = false,
                   .to_outside = false});
  SECTION("whose rules accept") {
    for (const char* const link : {"cni0", "cni1"}) {
      tool(concat("nft add rule inet site gate iifname ", link, " accept"));
      tool(concat("nft add rule inet site gate oifname ", link, " ct state established accept"));
    }
    check_paths(on, expected_of(policy, true));
  }
}

TEST_CASE("firewall isolated: inside a bridge without br_netfilter, link-local too",
          "[firewall][matrix]") {
  const TestHost host;
  const char* const called = GENERATE("0", "1");
  host.net().set_sysctl("net/bridge/bridge-nf-call-iptables", called);
  host.net().set_sysctl("net/bridge/bridge-nf-call-ip6tables", called);
  const Network isolated{.firewall = R"("ingressPolicy":"isolated")"};
  const Pod a(isolated, "a"), b(isolated, "b");
  const auto link_local = [](const Pod& pod) {
    const cni::Json links = tool_json("ip -j -6 addr show dev eth0 scope link", &pod.net());
    for (const auto& address : links.root().items().at(0)["addr_info"].items()) {
      if (address["scope"].string_or("") != "link") continue;
      return concat(address["local"].string(), "%eth0");
    }
    return std::string();
  };
  REQUIRE(can_ping(a.net(), link_local(b)));
  REQUIRE(reaches(a.net(), b.net(), b.v4()));
  b.admit();  // the later one first
  a.admit();
  const auto lost = [&](const std::string& address) {
    return !run({.argv = {"ping", "-c", "1", "-W", "1", address}, .net = &a.net()}).ok();
  };
  CHECK(lost(link_local(b)));
  CHECK(lost(b.v4()));
  CHECK(lost(b.v6()));
  // Not through the gateway either.
  tool(concat("ip route add ", b.v4(), "/32 via 10.1.2.1"), &a.net());
  tool(concat("ip route add ", b.v6(), "/128 via 2001:db8:2::1"), &a.net());
  CHECK(is_kept_from(a.net(), b.net(), b.v4()));
  CHECK(is_kept_from(a.net(), b.net(), b.v6()));
  CHECK(can_ping(a.net(), "10.1.2.1"));
}

TEST_CASE("firewall same-bridge: a VLAN with a leg is a bridge of its own", "[firewall][matrix]") {
  const TestHost host;
  require_vlan_filtering();
  host.enable_forwarding();
  const std::string members = R"("ingressPolicy":"same-bridge")";
  const Network red{.name = "red", .firewall = members, .vlan = 100};
  const Network blue{.name = "blue", .number = 3, .firewall = members, .vlan = 200};
  const Pod a(red, "a"), b(red, "b"), c(blue, "c");
  REQUIRE(ports_of("cni0").size() == 5);  // three containers, two legs
  REQUIRE(reaches(a.net(), c.net(), c.v4()));
  a.admit();
  b.admit();
  c.admit();
  CHECK(is_kept_from(a.net(), c.net(), c.v4()));
  CHECK(is_kept_from(c.net(), a.net(), a.v6()));
  CHECK(reaches(a.net(), b.net(), b.v4()));
  CHECK(can_ping(a.net(), "10.1.2.1"));
  CHECK(can_ping(c.net(), "2001:db8:3::1"));
  CHECK(c.firewall("CHECK").ok());
  CHECK(c.firewall("DEL").ok());
  CHECK(a.firewall("CHECK").ok());
}

TEST_CASE("firewall isolated: in a VLAN the gateway is reached, the neighbour is not",
          "[firewall][matrix]") {
  const TestHost host;
  require_vlan_filtering();
  host.enable_forwarding();
  const char* const called = GENERATE("0", "1");
  host.net().set_sysctl("net/bridge/bridge-nf-call-iptables", called);
  const Network red{.name = "red", .firewall = R"("ingressPolicy":"isolated")", .vlan = 100};
  const Pod a(red, "a"), b(red, "b");
  REQUIRE(reaches(a.net(), b.net(), b.v4()));
  a.admit();
  b.admit();
  CHECK(can_ping(a.net(), "10.1.2.1"));
  CHECK(can_ping(b.net(), "10.1.2.1"));
  CHECK(is_kept_from(a.net(), b.net(), b.v4()));
  tool(concat("ip route add ", b.v4(), "/32 via 10.1.2.1"), &a.net());
  CHECK(is_kept_from(a.net(), b.net(), b.v4()));
  CHECK(a.firewall("CHECK").ok());

  const auto gateways = [] {
    const cni::Json map = tool_json("nft -j list map bridge cnipp gateways");
    return map.root()["nftables"].items().back()["map"]["elem"].items().size();
  };
  CHECK(gateways() == 1);
  tool("nft flush map bridge cnipp gateways");
  CHECK_FALSE(a.firewall("CHECK").ok());
  REQUIRE(a.firewall("ADD").ok());
  CHECK(a.firewall("CHECK").ok());
  CHECK(b.firewall("DEL").ok());
  CHECK(gateways() == 1);
  CHECK(can_ping(a.net(), "10.1.2.1"));
  CHECK(a.firewall("DEL").ok());
  CHECK(gateways() == 0);
}

TEST_CASE("firewall open: a port that is published gets through a host that drops",
          "[firewall][matrix]") {
  const TestHost host;
  const bool v4 = GENERATE(true, false);
  const std::string backend = GENERATE("", "nftables", "iptables");
  for (const char* const program : {"iptables", "ip6tables"}) {
    tool(concat(program, " -P FORWARD DROP"));
  }
  const OutsideHost outside(host);
  const Network network{.firewall = concat(R"("backend":")", backend, "\"")};
  const Pod pod(network, "a");
  tool("nft add table inet published");
  tool("nft add chain inet published pre { type nat hook prerouting priority -100 ; }");
  tool(v4 ? concat("nft add rule inet published pre tcp dport 8080 dnat ip to ", pod.v4(), ":8080")
          : concat("nft add rule inet published pre tcp dport 8080 dnat ip6 to [", pod.v6(),
                   "]:8080"));
  const std::string address(v4 ? OutsideHost::kHostV4 : OutsideHost::kHostV6);
  INFO(backend);
  CHECK(is_kept_from(outside.net(), pod.net(), address));
  pod.admit();
  CHECK(reaches(outside.net(), pod.net(), address));
}
