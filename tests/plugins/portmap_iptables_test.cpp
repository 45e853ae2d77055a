// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Published ports with iptables, and what the reference implementation made with either backend.
#include <algorithm>

#include "base/concat.h"
#include "base/hash.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

const std::string kIptables = R"("backend":"iptables")";
const std::string kWeb = mapping(8080, 80) + "," + mapping(5353, 53, "udp");
const std::string kHostV4(OutsideHost::kHostV4), kHostV6(OutsideHost::kHostV6);

struct IptablesHost : PortHost {
  IptablesHost() {
    if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
  }
};

/// Rules of one family that have to do with published ports, in order.
std::string rules(const std::string& program = "iptables") {
  const std::string text = tool(program + "-save -t nat");
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const bool ours = line.find("HOSTPORT") != line.npos || line.find("CNI-DN-") != line.npos ||
                      line.find("portfwd") != line.npos;
    if (line.starts_with("-A") && ours) out += line + "\n";
    at = end + 1;
  }
  return out;
}

std::string chain_of(std::string_view id) {
  return "CNI-DN-" + cni::sha512_hex(concat("net1", id), 21);
}

/// The same call, made of the reference. It is older than 1.1.0.
Output run_theirs(const Attachment& attachment, std::string_view command) {
  PluginCall call = attachment.call(command);
  call.plugin = reference_bin_dir() + "/portmap";
  call.bin_dir = reference_bin_dir();
  return run_plugin(call);
}

Attachment with_version(Attachment attachment, const std::string& version) {
  Json conf = Json::parse(attachment.conf);
  Json previous(conf.root()["prevResult"]);
  previous.set("cniVersion", version);
  conf.set("cniVersion", version).set("prevResult", std::move(previous));
  attachment.conf = conf.dump();
  return attachment;
}

}  // namespace

TEST_CASE("portmap iptables: the reference's chains, comments and order", "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web");
  const std::string own = chain_of("web");
  web.publish(mapping(8080, 80) + "," + mapping(8081, 81, "tcp", "192.0.2.1") + "," +
                  mapping(5353, 53, "udp"),
              kIptables);
  const std::string comment = R"(-m comment --comment "dnat name: \"net1\" id: \"web\"")";
  const std::string mark = " -j CNI-HOSTPORT-SETMARK\n";
  const std::string tcp = "-p tcp -m tcp --dport 8080";
  const std::string bound = "-d 192.0.2.1/32 -p tcp -m tcp --dport 8081";
  const std::string in = concat("-A ", own, " ");
  const std::string subnet = "-s 10.1.2.0/24 ", local = "-s 127.0.0.1/32 ";
  const std::string udp = "-p udp -m udp --dport 5353";
  const std::string saved = rules();
  for (const std::string& line :
       {std::string("-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"),
        std::string("-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"),
        std::string("-A POSTROUTING -m comment --comment \"CNI portfwd requiring masquerade\" "
                    "-j CNI-HOSTPORT-MASQ\n"),
        std::string("-A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade "
                    "mark\" -j MARK --set-xmark 0x2000/0x2000\n"),
        std::string("-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE\n"),
        concat("-A CNI-HOSTPORT-DNAT -p tcp ", comment, " -m multiport --dports 8080,8081 -j ", own,
               "\n-A CNI-HOSTPORT-DNAT -p udp ", comment, " -m multiport --dports 5353 -j ", own,
               "\n"),
        concat(in, subnet, tcp, mark, in, local, tcp, mark, in, tcp, " -j DNAT --to-destination ",
               web.v4(), ":80\n", in, subnet, bound, mark, in, local, bound, mark, in, bound,
               " -j DNAT --to-destination ", web.v4(), ":81\n", in, subnet, udp, mark, in, local,
               udp, mark, in, udp, " -j DNAT --to-destination ", web.v4(), ":53\n")}) {
    INFO(saved);
    CHECK_THAT(saved, Catch::Contains(line));
  }
  CHECK_THAT(rules("ip6tables"),
             Catch::Contains(concat(" -j DNAT --to-destination [", web.v6(), "]:80\n")));
}

TEST_CASE("portmap iptables: leads where nftables does", "[portmap][iptables][traffic]") {
  const IptablesHost host;
  const Container web("web");
  const Container sibling("sibling");
  web.publish(kWeb, kIptables);
  const auto tcp = [&](const TestNamespace& from, std::string_view address) {
    return tcp_peer_seen({from, web.net(), address, 8080, kTrafficPatience, 80});
  };
  CHECK(tcp(host.outside.net(), kHostV4) == OutsideHost::kV4);
  CHECK(tcp(host.outside.net(), kHostV6) == OutsideHost::kV6);
  CHECK(tcp(host.host.net(), "127.0.0.1").has_value());
  CHECK(tcp(host.host.net(), kHostV4) == kHostV4);
  CHECK(tcp(sibling.net(), kHostV4).has_value());
  CHECK(tcp(web.net(), kHostV4).has_value());
  CHECK(udp_peer_seen({host.outside.net(), web.net(), kHostV4, 5353, kTrafficPatience, 53}) ==
        OutsideHost::kV4);
  // route_localnet opens nothing here either.
  tool("ip link set lo down", &sibling.net());
  sibling.net().set_sysctl("net/ipv4/conf/eth0/route_localnet", "1");
  tool("ip route add 127.0.0.1/32 via 10.1.2.1", &sibling.net());
  CHECK_FALSE(tcp_peer_seen({sibling.net(), host.host.net(), "127.0.0.1", 9999, kBrief}));
}

TEST_CASE("portmap iptables: options that only iptables has choose it", "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web");
  SECTION("conditions") {
    web.publish(kWeb, R"("conditionsV4":["!","-s","192.0.2.2/32"])");
    CHECK_THAT(rules(), Catch::Contains("-A CNI-HOSTPORT-DNAT ! -s 192.0.2.2/32 -p tcp"));
    CHECK_FALSE(tcp_peer_seen({host.outside.net(), web.net(), kHostV4, 8080, kBrief, 80}));
  }
  SECTION("a mark chain of somebody else") {
    tool("iptables -t nat -N KUBE-MARK-MASQ");
    tool("ip6tables -t nat -N KUBE-MARK-MASQ");
    web.publish(kWeb, R"("externalSetMarkChain":"KUBE-MARK-MASQ")");
    CHECK_THAT(rules(), Catch::Contains("-j KUBE-MARK-MASQ"));
    CHECK_THAT(rules(), !Catch::Contains("CNI-HOSTPORT-MASQ"));
  }
  SECTION("a mark chain that does not exist leaves nothing") {
    const Snapshot before = snapshot_host().only("nft");
    const Output output =
        web.portmap(portmap_conf(kWeb, R"("externalSetMarkChain":"NONE")")).run("ADD");
    CHECK(code_of(output) == 100);
    CHECK(rules() == "");
    CHECK(count_port_elements() == 0);
  }
  SECTION("another bit") {
    web.publish(kWeb, kIptables + R"(,"markMasqBit":4,"masqAll":true)");
    CHECK_THAT(rules(), Catch::Contains("--set-xmark 0x10/0x10"));
    CHECK(tcp_peer_seen({host.outside.net(), web.net(), kHostV4, 8080, kTrafficPatience, 80}) ==
          std::optional<std::string>("10.1.2.1"));
  }
}

TEST_CASE("portmap iptables: ADD again, another address, conflicts", "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web");
  const Container other("other");
  const Attachment attachment = web.publish(kWeb, kIptables);
  const std::string once = rules();
  attachment.add();
  CHECK(rules() == once);

  const Output output = other.portmap(portmap_conf(mapping(8080, 1), kIptables)).run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), Catch::Contains("tcp 8080"));
  CHECK_THAT(message_of(output), Catch::Contains("web"));
  CHECK(rules() == once);

  Attachment moved = attachment;
  moved.conf = with(moved.conf, "prevResult", other.result);
  moved.add();
  CHECK_THAT(rules(), !Catch::Contains(web.v4() + ":"));
  CHECK_THAT(rules(), Catch::Contains(other.v4() + ":80"));
}

TEST_CASE("portmap: a port that the other backend leads elsewhere is a conflict",
          "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web"), other("other");
  const bool iptables_first = GENERATE(true, false);
  const std::string first = iptables_first ? kIptables : "",
                    second = iptables_first ? "" : kIptables;
  INFO(first << " first");
  const Attachment there = web.publish(kWeb, first);
  const Snapshot before = snapshot_host().only("nft iptables");

  const Attachment wanted = other.portmap(portmap_conf(mapping(8080, 1), second));
  const Output output = wanted.run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), Catch::Contains("tcp 8080"));
  CHECK_THAT(message_of(output), Catch::Contains("web"));
  CHECK(difference(before, snapshot_host().only("nft iptables")) == "");

  other.publish(mapping(8080, 1, "udp"), second).del();
  there.del();
  CHECK(wanted.run("ADD").ok());
}

TEST_CASE("portmap: a port that the reference's rules lead elsewhere is a conflict",
          "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web"), other("other");
  web.publish(kWeb, kIptables);
  tool("rm -r /run/cnipp");  // of the reference nothing but the rules is there
  const Output output = other.portmap(portmap_conf(mapping(8080, 1))).run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), Catch::Contains("web"));
}

TEST_CASE("portmap iptables: more than 15 ports", "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web");
  std::string mappings;
  for (int port = 1; port <= 32; ++port) {
    mappings += concat(port == 1 ? "" : ",", mapping(port, port));
  }
  const Attachment attachment = web.publish(mappings, kIptables);
  CHECK_THAT(rules(), Catch::Contains("--dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15 "));
  CHECK_THAT(rules(), Catch::Contains("--dports 31,32 "));
  CHECK(attachment.run("CHECK").ok());
}

TEST_CASE("portmap iptables: DEL and GC", "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web");
  const Container keep("keep");
  keep.publish(mapping(1, 1), kIptables);
  const std::string before = rules();
  const Attachment attachment = web.publish(kWeb, kIptables);
  SECTION("DEL") { attachment.del(); }
  SECTION("DEL with another backend") {
    Attachment less = attachment;
    less.conf = with(less.conf, "backend", "nftables");
    less.del();
  }
  SECTION("DEL that knows nothing") {
    Attachment less = attachment;
    less.conf = portmap_conf("");
    less.netns = "";
    less.del();
  }
  SECTION("GC") {
    Attachment any = attachment;
    any.conf = with(any.conf, "cni.dev/valid-attachments",
                    Json::parse(R"([{"containerID":"keep","ifname":"eth0"}])"));
    CHECK(any.run("GC").ok());
  }
  CHECK(rules() == before);
  CHECK_THAT(tool("iptables-save -t nat"), !Catch::Contains(chain_of("web")));
  attachment.del();
}

TEST_CASE("portmap iptables: CHECK names what was changed", "[portmap][iptables][check]") {
  const IptablesHost host;
  const Container web("web");
  const Attachment attachment = web.publish(kWeb, kIptables);
  CHECK(attachment.run("CHECK").ok());
  const std::string chain = chain_of("web");
  const std::string one = GENERATE_COPY(
      std::string("iptables -t nat -F CNI-HOSTPORT-DNAT"), concat("iptables -t nat -F ", chain),
      concat("ip6tables -t nat -D ", chain, " 1"),
      concat("iptables -t nat -A ", chain, " -j RETURN"),
      std::string("iptables -t nat -F CNI-HOSTPORT-MASQ"),
      std::string("iptables -t nat -F CNI-HOSTPORT-SETMARK"),
      std::string("iptables -t nat -F POSTROUTING"), std::string("iptables -t nat -F OUTPUT"),
      std::string("nft flush chain inet cnipp hostport-martians"),
      std::string("nft flush ruleset"));
  INFO(one);
  tool(one);
  CHECK(code_of(attachment.run("CHECK")) == 101);
  attachment.add();
  CHECK(attachment.run("CHECK").ok());
}

TEST_CASE("portmap iptables: ADDs at once on a fresh host", "[portmap][iptables][parallel]") {
  const IptablesHost host;
  const Container web("web");
  std::vector<Command> commands;
  constexpr int kCount = 12;
  for (int i = 1; i <= kCount; ++i) {
    Attachment one = web.portmap(portmap_conf(mapping(i, i), kIptables));
    one.id = concat("c", i);
    commands.push_back(one.command("ADD"));
  }
  for (const Output& output : run_parallel(commands)) {
    INFO(output.text());
    CHECK(output.ok());
  }
  const std::string saved = rules();
  for (int i = 1; i <= kCount; ++i) CHECK_THAT(saved, Catch::Contains(concat("--dports ", i, " ")));
  const std::string jump = "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT";
  CHECK(saved.find(jump) == saved.rfind(jump));
}

TEST_CASE("portmap iptables: the same rules as the reference", "[portmap][iptables][oracle]") {
  require_reference("portmap");
  const IptablesHost host;
  const Container web("web");
  const std::string options = GENERATE(R"("snat":true)", R"("snat":false)", R"("markMasqBit":3)",
                                       R"("conditionsV4":["-s","192.0.2.0/25"])");
  INFO(options);
  const Attachment attachment =
      with_version(web.portmap(portmap_conf(
                       mapping(8080, 80) + "," + mapping(8081, 81, "tcp", "192.0.2.1") + "," +
                           mapping(5353, 53, "udp", "::") + "," + mapping(9, 9, "udp"),
                       concat(kIptables, ",", options))),
                   "1.0.0");
  const Output theirs = run_theirs(attachment, "ADD");
  INFO(theirs.text());
  REQUIRE(theirs.ok());
  const Output its_own = run_theirs(attachment, "CHECK");
  INFO(its_own.text());
  const std::string rules4 = rules(), rules6 = rules("ip6tables");
  CHECK(run_theirs(attachment, "DEL").ok());
  tool("iptables -t nat -F");
  tool("ip6tables -t nat -F");
  attachment.add();
  CHECK(rules() == rules4);
  CHECK(rules("ip6tables") == rules6);
  const Output of_ours = run_theirs(attachment, "CHECK");
  INFO(of_ours.text());
  CHECK(of_ours.text() == its_own.text());
  CHECK(run_theirs(attachment, "DEL").ok());
  CHECK_THAT(rules(), !Catch::Contains(chain_of("web")));
  attachment.del();
}

TEST_CASE("portmap: CHECKs, DELetes and collects what the reference made with iptables",
          "[portmap][iptables][oracle]") {
  require_reference("portmap");
  const IptablesHost host;
  const Container web("web");
  const Attachment attachment = with_version(web.portmap(portmap_conf(kWeb)), "1.0.0");
  REQUIRE(run_theirs(attachment, "ADD").ok());
  CHECK(attachment.run("CHECK").ok());
  SECTION("CHECK") {
    tool(concat("iptables -t nat -F ", chain_of("web")));
    CHECK(code_of(attachment.run("CHECK")) == 101);
  }
  SECTION("DEL") { attachment.del(); }
  SECTION("DEL without runtimeConfig") {
    Attachment less = attachment;
    less.conf = portmap_conf("");
    less.del();
  }
  SECTION("GC") {
    Attachment any = web.portmap(portmap_conf(""));
    any.conf = with(any.conf, "cni.dev/valid-attachments", Json::array());
    CHECK(any.run("GC").ok());
    CHECK_THAT(tool("iptables-save -t nat"), !Catch::Contains(chain_of("web")));
  }
  attachment.del();
  CHECK_THAT(tool("iptables-save -t nat"), !Catch::Contains(chain_of("web")));
  CHECK_THAT(tool("ip6tables-save -t nat"), !Catch::Contains(chain_of("web")));
}

TEST_CASE("portmap: CHECKs and DELetes what the reference made with nftables",
          "[portmap][iptables]") {
  const IptablesHost host;
  const Container web("web");
  // Its backend of 1.6 and later, as its nft commands leave it.
  const auto make = [](std::string_view family, std::string_view daddr, const std::string& id,
                       const std::string& to, const std::string& address) {
    const std::string table = concat(family, " cni_hostport");
    for (const std::string& command :
         {concat("add table ", table), concat("add chain ", table, " hostports"),
          concat("add chain ", table, " masquerading"),
          concat("add rule ", table, " hostports tcp dport 8080 dnat to ", to, " comment \"", id,
                 "\""),
          concat("add rule ", table, " masquerading ", daddr, " saddr ", address, " ", daddr,
                 " daddr ", address, " masquerade comment \"", id, "\"")}) {
      CHECK(run({.argv = {"nft", "-f", "-"}, .input = command}).ok());
    }
  };
  make("ip", "ip", "web", web.v4() + ":80", web.v4());
  make("ip6", "ip6", "web", "[" + web.v6() + "]:80", web.v6());
  make("ip", "ip", "other", "10.1.2.9:80", "10.1.2.9");
  make("ip", "ip", "web", "10.9.9.9:80", "10.9.9.9");  // of another network
  const Attachment attachment = web.portmap(portmap_conf(mapping(8080, 80)));
  CHECK(attachment.run("CHECK").ok());
  CHECK(code_of(web.portmap(portmap_conf(mapping(8080, 80) + "," + mapping(1, 1))).run("CHECK")) ==
        101);
  attachment.del();
  const std::string ruleset = tool("nft list ruleset");
  CHECK_THAT(ruleset, !Catch::Contains(web.v4() + ":80"));
  CHECK_THAT(ruleset, !Catch::Contains(web.v6() + "]:80"));
  CHECK_THAT(ruleset, Catch::Contains("10.1.2.9:80"));
  CHECK_THAT(ruleset, Catch::Contains("10.9.9.9:80"));
  CHECK(code_of(attachment.run("CHECK")) == 101);
}
