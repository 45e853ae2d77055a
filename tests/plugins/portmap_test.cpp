// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// portmap's verbs with its own nf_tables objects.
#include <algorithm>

#include "base/concat.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

const std::string kWeb = mapping(8080, 80) + "," + mapping(5353, 53, "udp");

Snapshot host_state() { return snapshot_host().only("link addr route rule nft iptables"); }

/// prevResult of a container without anything behind it.
Json result_of(std::string_view addresses) {
  return Json::parse(
      concat(R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)",
             R"("ips":[)", addresses, "]}"));
}
const std::string kV4 = R"({"address":"10.1.2.9/24","interface":0})";

/// An attachment that is nothing but an address: portmap never looks at the container.
Attachment bare(const std::string& id, const std::string& mappings, std::string_view members = "",
                const std::string& addresses = kV4) {
  return {.conf = with(portmap_conf(mappings, members), "prevResult", result_of(addresses)),
          .netns = "/run/netns/none",
          .id = id,
          .plugin = "portmap"};
}

/// Of which nobody can say that its namespace is gone: it is that of the test.
Attachment living(const std::string& id, const std::string& mappings, std::string_view members = "",
                  const std::string& addresses = kV4) {
  Attachment out = bare(id, mappings, members, addresses);
  out.netns = "/proc/self/ns/net";
  return out;
}

}  // namespace

TEST_CASE("portmap ADD: passes the result on as it came", "[portmap][add]") {
  const TestHost host;
  const std::string version = GENERATE("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  Json previous = Json::parse(
      R"({"interfaces":[{"name":"eth0","sandbox":"/x","mac":"02:00:00:00:00:01"}],)"
      R"("ips":[{"address":"10.1.2.9/24","interface":0,"gateway":"10.1.2.1","version":"4"}],)"
      R"("routes":[{"dst":"0.0.0.0/0"}],"dns":{},"unknown":{"kept":true}})");
  previous.set("cniVersion", version);
  const std::string mappings = GENERATE(std::string(), mapping(8080, 80));
  const Attachment attachment{
      .conf = with(portmap_conf(mappings, "", version), "prevResult", previous),
      .netns = "/run/netns/none",
      .plugin = "portmap"};
  CHECK(attachment.add().root().text() == previous.root().text());
}

TEST_CASE("portmap ADD: the oldest versions", "[portmap][add]") {
  const TestHost host;
  const std::string version = GENERATE("0.1.0", "0.2.0");
  Json previous = Json::parse(R"({"ip4":{"ip":"10.1.2.9/24"},"dns":{}})");
  previous.set("cniVersion", version);
  const Attachment attachment{
      .conf = with(portmap_conf(mapping(8080, 80), "", version), "prevResult", previous),
      .netns = "/run/netns/none",
      .plugin = "portmap"};
  CHECK(attachment.add().root()["ip4"]["ip"].string() == "10.1.2.9/24");
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080"});
  attachment.del();
  CHECK(count_port_elements() == 0);
}

TEST_CASE("portmap ADD: nothing to map is nothing to do", "[portmap][add]") {
  const TestHost host;
  const Snapshot before = host_state();
  bare("c1", "").add();
  bare("c1", kWeb, "", "").add();                   // no address
  bare("c1", mapping(80, 80, "tcp", "::1")).add();  // none of this family
  CHECK(difference(before, host_state()) == "");
  CHECK(code_of(Attachment{.conf = portmap_conf(""), .netns = "/x", .plugin = "portmap"}.run(
            "ADD")) == 7);
}

TEST_CASE("portmap ADD: keys as containerd writes them, protocols, defaults", "[portmap][add]") {
  const TestHost host;
  bare("c1",
       R"({"HostPort":8081,"ContainerPort":80,"Protocol":"TCP","HostIP":""},)"
       R"({"hostPort":8082,"containerPort":80},{"hostPort":8083,"containerPort":80,"protocol":""},)"
       R"({"hostPort":8084,"containerPort":80,"protocol":"udp"},)"
       R"({"hostPort":65535,"containerPort":65535,"protocol":"sctp","hostIP":"192.0.2.1"})")
      .add();
  CHECK(elements_of("hostports4") ==
        std::vector<std::string>{"tcp . 8081", "tcp . 8082", "tcp . 8083", "udp . 8084"});
  CHECK(elements_of("hostip-ports4") == std::vector<std::string>{"192.0.2.1 . sctp . 65535"});
}

TEST_CASE("portmap ADD: refuses what it cannot do, naming the place", "[portmap][add]") {
  const TestHost host;
  const Snapshot before = host_state();
  struct Case {
    std::string mappings, members, text;
  };
  const auto one = GENERATE(
      Case{R"({"hostPort":0,"containerPort":80})", "", "runtimeConfig.portMappings[0].hostPort"},
      Case{R"({"hostPort":65536,"containerPort":80})", "", "portMappings[0].hostPort"},
      Case{R"({"hostPort":80,"containerPort":70000})", "", "portMappings[0].containerPort"},
      Case{R"({"hostPort":80})", "", "portMappings[0].containerPort: missing"},
      Case{R"({"hostPort":80,"containerPort":80,"protocol":"icmp"})", "", "tcp, udp or sctp"},
      Case{R"({"hostPort":80,"containerPort":80,"hostIP":"localhost"})", "", "not an IP address"},
      Case{"null", "", "portMappings[0]"},
      Case{mapping(80, 80) + "," + mapping(80, 81), "", "container ports 80 and 81"},
      Case{mapping(80, 80) + "," + mapping(80, 81, "tcp", "0.0.0.0"), "", "ports 80 and 81"},
      Case{kWeb, R"("backend":"ebpf")", "unrecognized backend \"ebpf\""},
      Case{kWeb, R"("markMasqBit":32)", "markMasqBit"},
      Case{kWeb, R"("markMasqBit":5,"externalSetMarkChain":"X")", "markMasqBit"},
      Case{kWeb, R"("backend":"nftables","externalSetMarkChain":"X")", "[externalSetMarkChain]"},
      Case{kWeb, R"("backend":"iptables","conditionsV4":["ip","saddr","10.0.0.1"])",
           "[conditionsV4]"},
      Case{kWeb, R"("conditionsV4":["tcp","sport","1"])",
           "conditionsV4: not understood: \"tcp sport\""},
      Case{kWeb, R"("conditionsV4":["ip","saddr","!="])", "conditionsV4: ends in the middle"},
      Case{kWeb, R"("conditionsV6":["ip6","daddr","10.0.0.0/8"])", "conditionsV6: not an address"},
      Case{kWeb, R"("conditionsV4":["ip saddr 10.0.0.9-10.0.0.1"])",
           "conditionsV4: not an address"},
      Case{kWeb, R"("conditionsV4":["ip saddr { 10.0.0.1 10.0.0.2 }"])", "neither a comma nor"},
      Case{kWeb, R"("conditionsV4":["ip saddr { 10.0.0.1,"])", "ends in the middle"},
      Case{kWeb, R"("conditionsV4":["tcp dport 80-x"])", "conditionsV4: not a port"},
      Case{kWeb, R"("conditionsV4":["ip saddr 10.0.0.1; drop"])", "conditionsV4: not an address"});
  INFO(one.text);
  const Output output = bare("c1", one.mappings, one.members).run("ADD");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), Catch::Contains(one.text));
  CHECK(difference(before, host_state()) == "");
  CHECK(bare("c1", one.mappings, one.members).run("DEL").ok());
}

TEST_CASE("portmap ADD: repeated mappings and repeated calls are one", "[portmap][add]") {
  const TestHost host;
  const Attachment attachment =
      bare("c1", concat(kWeb, ",", kWeb, ",", mapping(8080, 80, "tcp", "0.0.0.0")));
  attachment.add();
  const Snapshot once = host_state();
  attachment.add();
  CHECK(difference(once, host_state()) == "");
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080", "udp . 5353"});
}

TEST_CASE("portmap ADD: again with other ports or another address replaces", "[portmap][add]") {
  const TestHost host;
  bare("c1", kWeb, R"("conditionsV4":["iifname","eth9"])").add();
  bare("c1", mapping(8080, 81), "", R"({"address":"10.1.2.10/24"})").add();
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080"});
  CHECK(elements_of("hostport-targets4") == std::vector<std::string>{"10.1.2.10"});
  CHECK(elements_of("hostport-conditions4").empty());
  CHECK_FALSE(host_state().mentions("10.1.2.9"));
}

TEST_CASE("portmap ADD: a port of another container is a conflict that names it",
          "[portmap][add]") {
  const TestHost host;
  living("c1", kWeb).add();
  const Snapshot before = host_state();
  const std::string other = R"({"address":"10.1.2.10/24"})";
  const Output output =
      living("c2", mapping(1, 1) + "," + mapping(5353, 1, "udp"), "", other).run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), Catch::Contains("udp 5353"));
  CHECK_THAT(message_of(output), Catch::Contains("net: net1, if: eth0, id: c1"));
  CHECK(difference(before, host_state()) == "");

  // Other protocols, families and addresses are other ports.
  living("c2", mapping(5353, 1, "tcp") + "," + mapping(8080, 80, "tcp", "192.0.2.1"), "", other)
      .add();
  const Output bound =
      living("c3", mapping(8080, 80, "tcp", "192.0.2.1"), "", R"({"address":"10.1.2.11/24"})")
          .run("ADD");
  CHECK(code_of(bound) == 102);
  CHECK_THAT(message_of(bound), Catch::Contains("tcp 192.0.2.1:8080"));
  living("c3", mapping(8080, 80), "", R"({"address":"2001:db8::3/64"})").add();

  // An ADD of c2 that fails over a conflict leaves what c2 has.
  const Snapshot both = host_state();
  CHECK(code_of(living("c2", mapping(8080, 1), "", other).run("ADD")) == 102);
  CHECK(difference(both, host_state()) == "");
}

TEST_CASE("portmap ADD: the owner of an address that is ours now is gone", "[portmap][add]") {
  const TestHost host;
  bare("lost", kWeb + "," + mapping(9090, 90, "tcp", "192.0.2.1")).add();
  bare("new", mapping(8080, 81)).add();  // the same address: lost's DEL never came
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080"});
  CHECK(elements_of("hostip-ports4").empty());
  CHECK_FALSE(host_state().mentions("id: lost"));
  bare("lost", kWeb).del();
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 8080"});
}

TEST_CASE("portmap ADD: repairs what others flushed", "[portmap][add]") {
  const TestHost host;
  bare("c1", kWeb).add();
  bare("c2", mapping(1, 1), "", R"({"address":"10.1.2.10/24"})").add();
  const Snapshot whole = host_state();
  const std::string damage = GENERATE(
      "nft flush ruleset", "nft flush table inet cnipp", "nft flush map inet cnipp hostports4",
      "nft delete chain inet cnipp hostport-output", "nft flush chain inet cnipp hostports",
      "nft delete element inet cnipp hostports4 { tcp . 8080 }",
      "nft add rule inet cnipp hostports drop");
  INFO(damage);
  tool(damage);
  bare("c1", kWeb).add();
  bare("c2", mapping(1, 1), "", R"({"address":"10.1.2.10/24"})").add();
  CHECK(difference(whole, host_state()) == "");
}

TEST_CASE("portmap ADD: thousands of ports at once", "[portmap][add]") {
  const TestHost host;
  std::string mappings;
  for (int port = 1; port <= 6000; ++port) mappings += (port == 1 ? "" : ",") + mapping(port, port);
  const Attachment attachment = bare("c1", mappings);
  attachment.add();
  CHECK(count_port_elements() == 6000 + 3);
  CHECK(attachment.run("CHECK").ok());
  attachment.add();
  attachment.del();
  CHECK(count_port_elements() == 0);
}

TEST_CASE("portmap ADD: a limit to mappings", "[portmap][add][one-kernel]") {
  const TestHost host;
  std::string mappings = R"({"hostPort":1,"containerPort":1})";
  const std::string one = "," + mappings;
  for (int i = 0; i < 131072; ++i) mappings += one;
  const Output output = bare("c1", mappings).run("ADD");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), Catch::Contains("portMappings: more than 131072"));
}

TEST_CASE("portmap DEL: takes what the owner has, with whatever is known", "[portmap][del]") {
  const TestHost host;
  const std::string other = R"({"address":"10.1.2.10/24"})";
  bare("other", mapping(1, 1), "", other).add();
  const Snapshot before = host_state();
  const Attachment attachment = bare("c1", kWeb, R"("conditionsV4":["iifname","eth9"])",
                                     kV4 + R"(,{"address":"2001:db8::9/64"})");
  attachment.add();
  Attachment less = attachment;
  SECTION("all") {}
  SECTION("no namespace") { less.netns = ""; }
  SECTION("no prevResult") { less.conf = portmap_conf(kWeb); }
  SECTION("garbage prevResult") { less.conf = with(less.conf, "prevResult", "garbage"); }
  SECTION("no runtimeConfig") { less.conf = with(less.conf, "runtimeConfig", Json()); }
  SECTION("other ports") { less.conf = portmap_conf(mapping(7, 7)); }
  SECTION("another backend") { less.conf = with(less.conf, "backend", "iptables"); }
  SECTION("an unusable configuration") { less.conf = with(less.conf, "backend", 5); }
  less.del();
  CHECK(difference(before, host_state()) == "");
  less.del();
  CHECK(difference(before, host_state()) == "");
}

TEST_CASE("portmap DEL: succeeds where nothing was ever made", "[portmap][del]") {
  const TestHost host;
  const Snapshot before = host_state();
  bare("c1", kWeb).del();
  CHECK(difference(before, host_state()) == "");
}

TEST_CASE("portmap DEL: the interface and the network are part of the owner", "[portmap][del]") {
  const TestHost host;
  Attachment first = bare("c1", mapping(1, 1));
  Attachment second = bare("c1", mapping(2, 2), "", R"({"address":"10.1.2.10/24","interface":-1})");
  second.ifname = "eth1";
  first.add();
  second.add();
  Attachment elsewhere = first;
  elsewhere.conf = with(elsewhere.conf, "name", "net2");
  elsewhere.del();
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 1", "tcp . 2"});
  first.del();
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 2"});
}

TEST_CASE("portmap CHECK: names what was changed", "[portmap][check]") {
  const PortHost host;
  const Container web("web");
  const Attachment attachment = web.publish(kWeb, R"("conditionsV4":["iifname","!=","eth9"])");
  CHECK(attachment.run("CHECK").ok());
  struct Mutation {
    std::string command, text;
  };
  const std::string in = "inet cnipp ";
  const auto one = GENERATE_COPY(
      Mutation{"nft flush ruleset", "is missing"},
      Mutation{concat("nft delete element ", in, "hostports4 { tcp . 8080 }"), "tcp 8080"},
      Mutation{concat("nft delete element ", in, "hostports6 { udp . 5353 }"), "udp 5353"},
      Mutation{concat("nft flush map ", in, "hostport-targets4"), "hostport-targets4"},
      Mutation{concat("nft flush set ", in, "hostport-siblings6"), "hostport-siblings6"},
      Mutation{concat("nft flush set ", in, "hostport-hairpins4"), "hostport-hairpins4"},
      Mutation{concat("nft flush set ", in, "hostport-owners"), "hostport-owners"},
      Mutation{concat("nft flush map ", in, "hostport-opened"), "hostport-opened"},
      Mutation{concat("nft flush map ", in, "hostport-conditions4"), "hostport-conditions4"},
      Mutation{concat("nft flush chain ", in, "hostport-martians"), "hostport-martians"},
      Mutation{concat("nft flush chain ", in, "hostport-loopback"), "hostport-loopback"},
      Mutation{concat("nft flush chain ", in, "hostport-snat4"), "hostport-snat4"},
      Mutation{concat("nft insert rule ", in, "hostports accept"), "cnipp hostports"},
      Mutation{concat("nft add rule ", in, "hostport-prerouting accept"), "hostport-prerouting"},
      Mutation{concat("nft add chain ", in, "hostport-output { policy drop ; }"),
               "hostport-output"},
      Mutation{"ip -6 route del local ::1 dev cni0", "::1"});
  INFO(one.command);
  tool(one.command);
  const Output output = attachment.run("CHECK");
  CHECK(code_of(output) == 101);
  CHECK_THAT(message_of(output), Catch::Contains(one.text));
}

TEST_CASE("portmap CHECK: sysctl, foreign elements, another configuration", "[portmap][check]") {
  const PortHost host;
  const Container web("web");
  const Attachment attachment = web.publish(kWeb);
  const auto problem = [](const Attachment& a) {
    const Output output = a.run("CHECK");
    CHECK(code_of(output) == 101);
    return message_of(output);
  };
  SECTION("route_localnet") {
    host.host.net().set_sysctl("net/ipv4/conf/cni0/route_localnet", "0");
    CHECK_THAT(problem(attachment), Catch::Contains("route_localnet is 0"));
  }
  SECTION("an element of another owner") {
    tool("nft delete element inet cnipp hostports4 { tcp . 8080 }");
    tool("nft add element inet cnipp hostports4 { tcp . 8080 : 10.1.2.2 . 80 }");
    CHECK_THAT(problem(attachment), Catch::Contains("tcp 8080"));
  }
  SECTION("fewer ports than there are") {
    CHECK_THAT(problem(web.portmap(portmap_conf(mapping(8080, 80)))),
               Catch::Contains("12 nf_tables elements instead of"));
  }
  SECTION("more ports than there are") {
    CHECK_THAT(problem(web.portmap(portmap_conf(kWeb + "," + mapping(1, 1)))),
               Catch::Contains("tcp 1"));
  }
  SECTION("another container port") {
    CHECK_THAT(
        problem(web.portmap(portmap_conf(mapping(8080, 81) + "," + mapping(5353, 53, "udp")))),
        Catch::Contains("leads elsewhere"));
  }
  SECTION("nothing mapped, nothing wrong") {
    CHECK(web.portmap(portmap_conf("")).run("CHECK").ok());
    CHECK(code_of(Attachment{.conf = portmap_conf(""), .netns = "/x", .plugin = "portmap"}.run(
              "CHECK")) == 7);
  }
}

TEST_CASE("portmap GC: keeps the valid attachments and other networks", "[portmap][gc]") {
  const TestHost host;
  const Snapshot before = host_state();
  const auto at = [](int n) { return concat(R"({"address":"10.1.2.)", n, R"(/24"})"); };
  bare("keep", mapping(1, 1), "", at(11)).add();
  bare("drop", mapping(2, 2), R"("conditionsV4":["iifname","eth9"])", at(12)).add();
  Attachment elsewhere = bare("drop", mapping(3, 3), "", at(13));
  elsewhere.conf = with(elsewhere.conf, "name", "net2");
  elsewhere.add();
  const std::string conf = portmap_conf("");
  const auto gc = [&](const std::string& with_list) {
    const Attachment any{.conf = with_list, .netns = "", .plugin = "portmap"};
    CHECK(any.run("GC").ok());
  };
  gc(conf);  // no list: nothing is known
  CHECK(elements_of("hostports4").size() == 3);
  gc(with(conf, "cni.dev/valid-attachments",
          Json::parse(R"([{"containerID":"keep","ifname":"eth0"}])")));
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 1", "tcp . 3"});
  CHECK(elements_of("hostport-conditions4").empty());
  gc(with(conf, "cni.dev/valid-attachments", Json::array()));
  CHECK(elements_of("hostports4") == std::vector<std::string>{"tcp . 3"});
  gc(with(portmap_conf("", "", "1.1.0", "net2"), "cni.dev/valid-attachments", Json::array()));
  CHECK(difference(before, host_state()) == "");
}

TEST_CASE("portmap GC: shares the table with masquerading", "[portmap][gc]") {
  const PortHost host;
  const Snapshot before = host_state().only("nft");
  const Container web("web");
  const Attachment portmap = web.publish(kWeb);
  CHECK(web.bridge.run("CHECK", web.result).ok());
  const auto gc = [](Attachment any) {
    any.conf = with(any.conf, "cni.dev/valid-attachments", Json::array());
    any.netns = "";
    return any.run("GC").ok();
  };
  SECTION("portmap first") {
    CHECK(gc(portmap));
    CHECK(web.bridge.run("CHECK", web.result).ok());
    CHECK(gc(web.bridge));
  }
  SECTION("bridge first") {
    CHECK(gc(web.bridge));
    CHECK(elements_of("hostports4").size() == 2);
    CHECK(gc(portmap));
  }
  CHECK(difference(before, host_state().only("nft")) == "");
}

TEST_CASE("portmap STATUS: ready, and changes nothing", "[portmap][status]") {
  const TestHost host;
  const Snapshot before = host_state();
  const Attachment any{.conf = portmap_conf(""), .netns = "", .plugin = "portmap"};
  CHECK(any.run("STATUS").ok());
  CHECK(difference(before, host_state()) == "");
  Attachment wrong = any;
  wrong.conf = portmap_conf("", R"("backend":"ebpf")");
  CHECK(code_of(wrong.run("STATUS")) == 7);
}

TEST_CASE("portmap STATUS: 50 without the capability that ADD needs", "[portmap][status]") {
  const TestHost host;
  const Attachment any{.conf = portmap_conf(""), .netns = "", .plugin = "portmap"};
  Command command = any.command("STATUS");
  command.argv.insert(command.argv.begin(),
                      {"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"});
  const Output output = run(command);
  CHECK(code_of(output) == 50);
}

TEST_CASE("portmap: cnitool reload brings flushed ports back", "[portmap][reload]") {
  const PortHost host;
  const Container web("web");
  const std::string members = GENERATE("", R"("backend":"iptables")");
  const Attachment attachment = web.publish(kWeb, members);
  const auto reaches = [&] {
    return tcp_peer_seen({host.outside.net(), web.net(), OutsideHost::kHostV4, 8080, kBrief, 80});
  };
  CHECK(reaches());
  tool("nft flush ruleset");
  CHECK_FALSE(reaches());
  CHECK(code_of(attachment.run("CHECK")) == 101);
  const Output output = run({.argv = {our_bin_dir() + "/cnitool", "reload"}});
  INFO(output.text());
  CHECK(output.ok());
  CHECK(attachment.run("CHECK").ok());
  CHECK(reaches());
}
