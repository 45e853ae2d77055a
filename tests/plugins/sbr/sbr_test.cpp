// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/mutation.h"
#include "plugins/sbr/fixture.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

TEST_CASE("sbr ADD: rules, and a table for each address", "[sbr]") {
  const SourceHost on;
  const cni::Json result = on.attachment().add();
  INFO(result.dump(2));
  CHECK_THAT(on.ip("rule"), contains("from 10.1.2.3 lookup 100"));
  CHECK_THAT(on.ip("-6 rule"), contains("from 2001:db8:1::3 lookup 101"));
  const std::string v4 = on.ip("route show table 100");
  CHECK_THAT(v4, contains("default via 10.1.2.1 dev net1"));
  CHECK_THAT(v4, contains("10.1.2.0/24 dev net1 proto kernel scope link src 10.1.2.3"));
  CHECK_THAT(v4, contains("10.50.0.0/16 via 10.1.2.1 dev net1"));
  CHECK_THAT(v4, contains("mtu 1300"));
  const std::string v6 = on.ip("-6 route show table 101");
  CHECK_THAT(v6, contains("default via 2001:db8:1::1 dev net1"));
  CHECK_THAT(v6, contains("2001:db8:1::/64 dev net1 proto kernel"));
  CHECK(on.ip("route show dev net1 table main").empty());
  // The neighbours' own: they are found by link.
  CHECK(on.ip("-6 route show dev net1 table main").find("2001:") == std::string::npos);
  // Where the version can say it, the result tells where the routes are.
  const cni::JsonRef route = result.root()["routes"].items().at(0);
  CHECK(route["table"].int_or(0, 0, 1000) == 100);
  CHECK(on.attachment().run("CHECK", result).ok());
}

TEST_CASE("sbr ADD: what is sent from an address leaves by its interface", "[sbr]") {
  const SourceHost on;
  on.attachment().add();
  CHECK_THAT(on.ip("route get 203.0.113.7 from 10.1.2.3"), contains("dev net1"));
  CHECK_THAT(on.ip("route get 203.0.113.7"), contains("dev eth0"));
  CHECK_THAT(on.ip("route get 2001:db8:77::1 from 2001:db8:1::3"), contains("dev net1"));
}

TEST_CASE("sbr ADD: the result in every version", "[sbr]") {
  const SourceHost on;
  const std::string version = GENERATE("0.3.1", "0.4.0", "1.0.0");
  const Attachment attachment = on.attachment("", version);
  const cni::Json result = attachment.add();
  CHECK(result.root()["cniVersion"].string() == version);
  CHECK(result.dump() == cni::Json(cni::Json::parse(attachment.conf).root()["prevResult"]).dump());
  CHECK_THAT(on.ip("rule"), contains("from 10.1.2.3 lookup 100"));
}

TEST_CASE("sbr ADD: idempotent", "[sbr]") {
  const SourceHost on;
  on.attachment().add();
  const Snapshot once = on.state();
  const cni::Json again = on.attachment().add();
  CHECK(difference(once, on.state()) == "");
  CHECK(on.attachment().run("CHECK", again).ok());
}

TEST_CASE("sbr ADD: gateways", "[sbr]") {
  const SourceHost on;
  SECTION("of the configuration") {
    on.attachment(R"("gateways":["10.1.2.9","2001:db8:1::9"])").add();
    CHECK_THAT(on.ip("route show table 100"), contains("default via 10.1.2.9"));
    CHECK_THAT(on.ip("-6 route show table 101"), contains("default via 2001:db8:1::9"));
  }
  SECTION("of routes") {
    Attachment attachment = on.attachment();
    attachment.conf = with(attachment.conf, "prevResult", on.previous("1.1.0", false));
    attachment.add();
    CHECK_THAT(on.ip("route show table 100"), contains("default via 10.1.2.1"));
    CHECK(on.ip("-6 route show table 101").find("default") == std::string::npos);
  }
}

TEST_CASE("sbr ADD: addSourceHints leaves what is reached directly", "[sbr]") {
  const SourceHost on;
  const Attachment attachment = on.attachment(R"("addSourceHints":true)");
  const cni::Json result = attachment.add();
  CHECK_THAT(on.ip("route show table main"), contains("10.1.2.0/24 dev net1"));
  CHECK_THAT(on.ip("-6 route show table main"),
             contains("2001:db8:1::/64 dev net1 proto 163 src 2001:db8:1::3"));
  CHECK(on.ip("route show table main").find("10.50.0.0") == std::string::npos);
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("sbr ADD: a table of the configuration gets rules and nothing else", "[sbr]") {
  const SourceHost on;
  const Attachment attachment = on.attachment(R"("table":500)");
  const cni::Json result = attachment.add();
  CHECK_THAT(on.ip("rule"), contains("from 10.1.2.3 lookup 500"));
  CHECK(on.ip("route show table all").find("table 500") == std::string::npos);
  CHECK_THAT(on.ip("route"), contains("10.50.0.0/16"));
  attachment.add();
  CHECK(attachment.run("CHECK", result).ok());
  require_noticed(attachment, result,
                  {"ip rule del from 10.1.2.3 lookup 500", "", "10.1.2.3", on.inside()});
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("sbr ADD: takes no table that is used", "[sbr]") {
  const SourceHost on;
  tool("ip rule add from 192.0.2.1 lookup 100", on.inside());
  tool("ip route add 192.0.2.0/24 dev eth0 table 101", on.inside());
  on.attachment().add();
  CHECK_THAT(on.ip("rule"), contains("from 10.1.2.3 lookup 102"));
  CHECK_THAT(on.ip("-6 rule"), contains("lookup 103"));
}

TEST_CASE("sbr ADD: several next hops", "[sbr]") {
  const SourceHost on;
  tool("ip -6 route add default via 2001:db8:1::1 dev net1 metric 9", on.inside());
  tool("ip -6 route append default via 2001:db8:1::2 dev net1 metric 9", on.inside());
  tool("ip route add 10.51.0.0/16 nexthop via 10.1.2.1 nexthop via 10.1.2.2", on.inside());
  on.attachment().add();
  CHECK_THAT(on.ip("-6 route show table 101"), contains("2001:db8:1::2"));
  CHECK_THAT(on.ip("route show table 100"), contains("nexthop via 10.1.2.2 dev net1"));
  CHECK(on.ip("route").find("10.51.0.0") == std::string::npos);
}

TEST_CASE("sbr ADD: refused, or failed, and nothing is changed", "[sbr]") {
  const SourceHost on;
  const auto refused = [&](std::string_view members, int code, const std::string& named) {
    const Output output = on.attachment(members).run("ADD");
    INFO(members << " " << output.text());
    CHECK(code_of(output) == code);
    CHECK_THAT(message_of(output), contains(named));
    CHECK(on.leftovers() == "");
  };
  refused(R"("gateways":["10.1.2.1","10.1.2.2"])", 7, "multiple IPv4");
  refused(R"("gateways":["x"])", 7, "gateways[0]");
  refused(R"("table":0)", 7, "table");
  refused(R"("table":"100")", 7, "table");
  refused(R"("gateways":["10.9.9.9"])", 100, "10.9.9.9");
  Attachment attachment = on.attachment();
  attachment.conf = with(attachment.conf, "prevResult", cni::Json());
  CHECK(code_of(attachment.run("ADD")) == 7);
  attachment.conf = with(attachment.conf, "prevResult",
                         cni::Json::parse(R"({"cniVersion":"1.1.0","interfaces":[]})"));
  CHECK(code_of(attachment.run("ADD")) == 7);
  attachment = on.attachment();
  attachment.ifname = "missing";
  CHECK(code_of(attachment.run("ADD")) == 7);
  CHECK(on.leftovers() == "");
}

TEST_CASE("sbr ADD: many at once in one container take different tables", "[sbr]") {
  const SourceHost on;
  std::vector<Command> commands;
  for (int i = 0; i < 8; ++i) {
    const std::string name = concat("m", i);
    tool(concat("ip link add ", name, " type veth peer name p", name), on.inside());
    tool(concat("ip addr add 10.7.", i, ".2/24 dev ", name), on.inside());
    tool(concat("ip link set ", name, " up"), on.inside());
    Attachment one = on.attachment();
    one.ifname = name;
    one.conf = with(one.conf, "prevResult",
                    cni::Json::parse(concat(R"({"cniVersion":"1.1.0","ips":[{"address":"10.7.)", i,
                                            R"(.2/24","gateway":"10.7.)", i, R"(.1"}]})")));
    commands.push_back(one.command("ADD"));
  }
  for (const Output& output : run_parallel(commands)) {
    INFO(output.text());
    CHECK(output.ok());
  }
  const std::string rules = on.ip("rule");
  for (int table = 100; table < 108; ++table) CHECK_THAT(rules, contains(concat("lookup ", table)));
}

TEST_CASE("sbr DEL: everything is as before, in whatever order", "[sbr]") {
  const SourceHost on;
  Attachment attachment = on.attachment();
  attachment.del();  // without any ADD
  CHECK(on.leftovers() == "");
  attachment.add();
  SECTION("as it was called") {}
  SECTION("without prevResult") {
    attachment.conf = with(attachment.conf, "prevResult", cni::Json());
  }
  SECTION("without CNI_NETNS") { attachment.netns = ""; }
  SECTION("with keys that ADD would refuse") {
    attachment.conf = with(with(attachment.conf, "table", "x"), "gateways", 7);
  }
  attachment.del();
  CHECK(on.leftovers() == "");
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("sbr DEL: the interface has gone", "[sbr]") {
  const SourceHost on;
  Attachment attachment = on.attachment();
  attachment.add();
  tool("ip link del net1", on.inside());
  const bool remembered = GENERATE(true, false);
  if (!remembered) attachment.conf = with(attachment.conf, "prevResult", cni::Json());
  attachment.del();
  CHECK(on.ip("rule").find("10.1.2.3") == std::string::npos);
  CHECK(on.ip("-6 rule").find("2001:db8:1::3") == std::string::npos);
}

TEST_CASE("sbr DEL: the namespace has gone", "[sbr]") {
  SourceHost on;
  const Attachment attachment = on.attachment();
  attachment.add();
  TestSandbox::destroy(std::move(on.sandbox));
  attachment.del();
  CHECK(records().empty());
  CHECK(tool("find /run/netns").find("c1") == std::string::npos);  // no stray file
}

TEST_CASE("sbr DEL: rules of others stay", "[sbr]") {
  const SourceHost on;
  for (const char* const line :
       {"ip rule add from 10.1.2.3 to 192.0.2.0/24 lookup 55",
        "ip rule add from 10.9.0.1 lookup 56", "ip rule add iif net1 lookup 57"}) {
    tool(line, on.inside());
  }
  on.attachment().add();
  on.attachment().del();
  const std::string rules = on.ip("rule");
  for (const char* const table : {"55", "56", "57"}) {
    CHECK_THAT(rules, contains(concat("lookup ", table)));
  }
}

TEST_CASE("sbr GC: takes the rules of attachments that are not valid", "[sbr]") {
  const SourceHost on;
  const cni::Json result = on.attachment().add();
  Attachment gc = on.attachment().collecting({"c1"});
  // The helper's list names eth0.
  gc.conf = with(gc.conf, "cni.dev/valid-attachments",
                 cni::Json::parse(R"([{"containerID":"c1","ifname":"net1"}])"));
  REQUIRE(gc.run("GC").ok());
  CHECK(on.attachment().run("CHECK", result).ok());
  REQUIRE(on.attachment().collecting({}).run("GC").ok());
  CHECK(on.leftovers() == "");
}

TEST_CASE("sbr CHECK: notices what is changed and names it", "[sbr]") {
  const SourceHost on;
  const Attachment attachment = on.attachment();
  const cni::Json result = attachment.add();
  const auto notice = [&](const std::string& change, const std::string& back,
                          const std::string& named) {
    require_noticed(attachment, result, {change, back, named, on.inside()});
  };
  notice("ip rule del from 10.1.2.3 lookup 100", "ip rule add from 10.1.2.3 lookup 100 proto 163",
         "10.1.2.3");
  notice("ip -6 rule del from 2001:db8:1::3 lookup 101",
         "ip -6 rule add from 2001:db8:1::3 lookup 101 proto 163", "2001:db8:1::3");
  notice("ip route change default via 10.1.2.7 dev net1 table 100",
         "ip route change default via 10.1.2.1 dev net1 table 100", "0.0.0.0/0");
  notice("ip route add 10.70.0.0/16 dev net1", "ip route del 10.70.0.0/16 dev net1",
         "10.70.0.0/16");
  notice("ip -6 route del default table 101",
         "ip -6 route add default via 2001:db8:1::1 dev net1 table 101", "::/0");
  SECTION("the network's route") {
    notice("ip route del 10.1.2.0/24 table 100", "", "10.1.2.0/24");
  }
  SECTION("a route of the result") {
    notice("ip route del 10.50.0.0/16 table 100", "", "10.50.0.0/16");
  }
  SECTION("the interface") { notice("ip link del net1", "", "net1"); }
  CHECK(code_of(attachment.run("CHECK")) != 0);
}

TEST_CASE("sbr STATUS: ready, and changes nothing", "[sbr]") {
  const SourceHost on;
  CHECK(on.attachment().run("STATUS").ok());
  CHECK(on.leftovers() == "");
  CHECK(code_of(on.attachment(R"("table":"x")").run("STATUS")) == 7);
}

TEST_CASE("sbr: the list in conf-examples, run by cnitool", "[sbr][example]") {
  const SourceHost on;
  on.host.enable_forwarding();
  for (const char* const verb : {"status", "add", "check", "del", "del", "gc"}) {
    const Output output = run_cnitool({.command = verb,
                                       .network = "by-source",
                                       .netns = on.sandbox.path(),
                                       .conf_dir = concat(source_dir(), "/conf-examples"),
                                       .ifname = "net2"});
    INFO(verb << " " << output.text());
    CHECK(output.ok());
    if (verb == std::string("add")) {
      CHECK_THAT(on.ip("rule"), contains("from 10.90.50.2 lookup 100"));
      CHECK_THAT(on.ip("route get 203.0.113.7 from 10.90.50.2"), contains("dev net2"));
    }
  }
  CHECK(on.leftovers() == "");
}
