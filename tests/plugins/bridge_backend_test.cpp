// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Masquerading with iptables, and what the reference implementation made with either backend.
#include <algorithm>

#include "base/concat.h"
#include "base/hash.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/skip.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

const std::string kConf = bridge_conf(kDualStack, "1.0.0");
const std::string kIptablesConf = with(kConf, "ipMasqBackend", "iptables");

struct IptablesHost {
  TestHost host;
  OutsideHost outside{host};
  TestSandbox sandbox{"c1"};
  IptablesHost() {
    if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
    host.enable_forwarding();
  }
};

/// The nat rules of both families that mention CNI chains.
std::string nat_rules() {
  std::string out;
  for (const auto* program : {"iptables-save -t nat", "ip6tables-save -t nat"}) {
    const std::string text = tool(program);
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      if (line.find("CNI-") != std::string::npos) out += line + "\n";
      at = end + 1;
    }
  }
  return out;
}

/// The same call, made of the reference.
Output run_theirs(const Attachment& attachment, std::string_view command) {
  PluginCall call = attachment.call(command);
  call.plugin = reference_bin_dir() + "/bridge";
  call.bin_dir = reference_bin_dir();
  return run_plugin(call);
}

std::string chain_of(std::string_view id) {
  return "CNI-" + cni::sha512_hex(concat("net1", id), 24);
}

}  // namespace

TEST_CASE("bridge ipMasqBackend iptables: the reference's chains and comments", "[bridge][masq]") {
  const IptablesHost used;
  const Attachment one{.conf = kIptablesConf, .netns = used.sandbox.path()};
  const cni::Json result = one.add();
  const std::string chain = chain_of("c1");
  const std::string comment = R"(-m comment --comment "name: \"net1\" id: \"c1\"")";
  const std::string rules = nat_rules();
  CHECK_THAT(rules,
             Catch::Contains(concat("-A POSTROUTING -s 10.1.2.2/32 ", comment, " -j ", chain)));
  CHECK_THAT(rules,
             Catch::Contains(concat("-A ", chain, " -d 10.1.2.0/24 ", comment, " -j ACCEPT")));
  CHECK_THAT(rules, Catch::Contains(
                        concat("-A ", chain, " ! -d 224.0.0.0/4 ", comment, " -j MASQUERADE")));
  CHECK_THAT(rules,
             Catch::Contains(concat("-A ", chain, " ! -d ff00::/8 ", comment, " -j MASQUERADE")));
  CHECK(masqueraded().empty());
  CHECK(tcp_peer_seen({used.sandbox.net(), used.outside.net(), OutsideHost::kV4}) ==
        std::string(OutsideHost::kHostV4));
  CHECK(one.run("CHECK", result).ok());

  SECTION("CHECK names a missing rule") {
    tool(concat("iptables -t nat -F ", chain));
    const Output check = one.run("CHECK", result);
    CHECK(code_of(check) == 101);
    CHECK_THAT(message_of(check), Catch::Contains("iptables nat rule"));
  }
  SECTION("DEL without the netns and with another configuration") {
    Attachment changed = one;
    changed.netns = "";
    changed.conf = bridge_conf(kRouted, "1.0.0");
    changed.del();
    CHECK(nat_rules() == "");
  }
  SECTION("the reference's DEL removes it") {
    require_reference();
    REQUIRE(run_theirs(one, "DEL").ok());
    CHECK(nat_rules() == "");
    CHECK(leases_of().empty());
  }
  SECTION("two interfaces of one container share the chain") {
    const Attachment two{.conf = kIptablesConf, .netns = used.sandbox.path(), .ifname = "eth1"};
    const cni::Json second = two.add();
    CHECK(one.run("CHECK", result).ok());
    CHECK(two.run("CHECK", second).ok());
    SECTION("DEL of one, with prevResult") { REQUIRE(two.run("DEL", second).ok()); }
    SECTION("DEL of one, without") { two.del(); }
    SECTION("a failing ADD of a third") {
      const std::string broken =
          with(kIptablesConf, "ipam", cni::Json::parse(R"({"type":"host-local",
        "ranges":[[{"subnet":"10.1.2.0/24"}]],"routes":[{"dst":"10.9.0.0/16","gw":"10.8.0.1"}]})"));
      const Attachment three{.conf = broken, .netns = used.sandbox.path(), .ifname = "eth2"};
      CHECK_FALSE(three.run("ADD").ok());
      CHECK(two.run("CHECK", second).ok());
      two.del();
    }
    CHECK(one.run("CHECK", result).ok());
    one.del();
    CHECK(nat_rules() == "");
  }
}

TEST_CASE("bridge upgrade: what the reference made is checked, removed and collected",
          "[bridge][masq]") {
  require_reference();
  const IptablesHost used;
  // Debian's version has one backend: iptables.
  Attachment ours{.conf = kConf, .netns = used.sandbox.path()};
  const Output added = run_theirs(ours, "ADD");
  INFO(added.text());
  REQUIRE(added.ok());
  const cni::Json result = added.json();
  REQUIRE(nat_rules() != "");

  SECTION("CHECK") {
    CHECK(ours.run("CHECK", result).ok());
    tool(concat("iptables -t nat -F ", chain_of("c1")));
    CHECK(code_of(ours.run("CHECK", result)) == 101);
  }
  SECTION("DEL") {
    REQUIRE(ours.run("DEL", result).ok());
    CHECK(nat_rules() == "");
    CHECK_FALSE(has_link("eth0", &used.sandbox.net()));
    CHECK(leases_of().empty());
  }
  SECTION("DEL without prevResult and netns") {
    ours.netns = "";
    ours.del();
    CHECK(nat_rules() == "");
    CHECK(leases_of().empty());
  }
  SECTION("GC keeps the valid and removes the rest") {
    const std::string conf = with(kConf, "cniVersion", "1.1.0");
    REQUIRE(run_gc(conf, {"c1"}).ok());
    CHECK(nat_rules() != "");
    REQUIRE(run_gc(conf, {"other"}).ok());
    CHECK(nat_rules() == "");
  }
}

TEST_CASE("bridge upgrade: the reference's nftables rules are checked, removed and collected",
          "[bridge][masq]") {
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const std::string conf = bridge_conf(
      R"("isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","subnet":"10.1.2.0/24"})");
  const Attachment one{.conf = conf, .netns = sandbox.path()};
  const cni::Json result = one.add();
  // The state that the reference's nftables backend leaves, in place of ours.
  tool("nft delete table inet cnipp");
  const std::string tag = concat(cni::sha512_hex("net1", 16), "-", cni::sha512_hex("eth0:c1", 16));
  tool("nft add table inet cni_plugins_masquerade");
  tool("nft add chain inet cni_plugins_masquerade masq_checks");
  const auto add_rule = [](const std::string& address, const std::string& comment) {
    const Output added =
        run({.argv = {"nft", "add", "rule", "inet", "cni_plugins_masquerade", "masq_checks", "ip",
                      "saddr", address, "ip", "daddr", "!=", "10.1.2.0/24", "masquerade", "comment",
                      concat("\"", comment, "\"")}});
    REQUIRE(added.ok());
  };
  add_rule("10.1.2.2", concat(tag, ", net: net1, if: eth0, id: c1"));
  add_rule("10.1.2.9", "0011223344556677-0011223344556677, net: other, if: eth0, id: x");
  const auto rules = [] { return tool("nft list chain inet cni_plugins_masquerade masq_checks"); };

  SECTION("CHECK") { CHECK(one.run("CHECK", result).ok()); }
  SECTION("DEL removes its rule and no other") {
    Attachment gone = one;
    gone.netns = "";
    gone.del();
    CHECK(rules().find("10.1.2.2") == std::string::npos);
    CHECK(rules().find("10.1.2.9") != std::string::npos);
  }
  SECTION("GC") {
    REQUIRE(run_gc(conf, {"c1"}).ok());
    CHECK(rules().find("10.1.2.2") != std::string::npos);
    REQUIRE(run_gc(conf, {}).ok());
    CHECK(rules().find("10.1.2.2") == std::string::npos);
    CHECK(rules().find("10.1.2.9") != std::string::npos);
  }
}

TEST_CASE("bridge upgrade: the reference's macspoofchk is checked, removed and collected",
          "[bridge][spoof]") {
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const std::string conf = bridge_conf(concat(R"("macspoofchk":true,)", kRouted));
  const Attachment one{.conf = conf, .netns = sandbox.path()};
  const cni::Json result = one.add();
  const std::string port = result.root()["interfaces"].items().at(1)["name"].string();
  const std::string mac = result.root()["interfaces"].items().at(2)["mac"].string();
  // What the reference's ADD leaves, called twice for this attachment, in place of ours.
  tool("nft delete table bridge cnipp");
  const auto rules_of = [](const std::string& id, const std::string& on,
                           const std::string& address) {
    const std::string comment = concat(" comment \"macspoofchk-", id, "\"\n");
    const std::string chain = concat("cni-br-iface-", id);
    const std::string jump = concat("iifname \"", on, "\" jump ", chain, comment);
    return concat(
        "table bridge nat {\nchain ", chain, "-mac { ether saddr ", address, " return", comment,
        "drop", comment, "}\nchain ", chain, " { jump ", chain, "-mac", comment,
        "}\nchain PREROUTING { type filter hook prerouting priority -300; policy accept;\n", jump,
        jump, "}\n}\n");
  };
  const std::string all =
      concat(rules_of("c1-eth0", port, mac), rules_of("c2-eth0", "lo", "02:00:00:00:00:02"),
             rules_of("c3-eth0", "vethgone", "02:00:00:00:00:03"));
  const Output made = run({.argv = {"nft", "-f", "-"}, .input = all});
  INFO(made.text());
  REQUIRE(made.ok());
  const auto has = [](const char* id) {
    return tool("nft list table bridge nat").find(concat("cni-br-iface-", id)) != std::string::npos;
  };

  SECTION("CHECK") {
    CHECK(one.run("CHECK", result).ok());
    const auto breakage = GENERATE(values<const char*>({
        "nft flush chain bridge nat PREROUTING",
        "nft flush chain bridge nat cni-br-iface-c1-eth0",
        "nft flush chain bridge nat cni-br-iface-c1-eth0-mac",
        "ip -n c1 link set eth0 address 02:00:00:00:00:77",
    }));
    INFO(breakage);
    tool(breakage);
    CHECK(code_of(one.run("CHECK", result)) == 101);
  }
  SECTION("DEL without the netns removes what is its own") {
    Attachment gone = one;
    gone.netns = "";
    gone.del();
    CHECK_FALSE(has("c1"));
    CHECK(has("c2"));
    CHECK(has("c3"));
    gone.del();
  }
  SECTION("GC removes what has no port any more") {
    REQUIRE(run_gc(conf, {"c1", "c3"}).ok());
    CHECK(has("c3"));
    REQUIRE(run_gc(conf, {"c1"}).ok());
    CHECK_FALSE(has("c3"));
    CHECK(has("c1"));
    CHECK(has("c2"));  // whoever's it is: its port lives
    REQUIRE(run_gc(conf, {}).ok());
    CHECK_FALSE(has("c1"));  // our GC has removed its port
    CHECK(has("c2"));
  }
}
