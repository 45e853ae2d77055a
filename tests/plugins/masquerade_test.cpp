// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// ipMasq with nf_tables, of bridge and ptp: who owns what, what CHECK sees, what goes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/concat.h"
#include "base/fd.h"
#include "base/hash.h"
#include "model/owner.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/poll.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

using Names = std::vector<std::string>;

/// A network on which the container asks for its address.
std::string fixed(std::string_view address, std::string_view network = "net1",
                  std::string_view more = "") {
  return bridge_conf(
      concat(R"("isGateway":true,"ipMasq":true,)", more,
             R"("ipam":{"type":"static","addresses":[{"address":")", address, R"("}]})"),
      "1.1.0", network);
}

std::string table() {
  const Output output = run({.argv = {"nft", "list", "table", "inet", "cnipp"}});
  return output.ok() ? output.out : "";
}

/// Chains of our table in which a rule has a comment, with that comment and its handle.
struct Commented {
  std::string chain, comment, handle;
};
std::vector<Commented> commented_rules(std::string_view family) {
  std::vector<Commented> out;
  const cni::Json listed = tool_json(concat("nft -j list table ", family, " cnipp"));
  for (const auto& object : listed.root()["nftables"].items()) {
    const auto rule = object["rule"];
    if (!rule.present() || !rule["comment"].present()) continue;
    out.push_back({rule["chain"].string(), rule["comment"].string(), rule["handle"].text()});
  }
  return out;
}

constexpr std::string_view kRoutedBoth =
    R"("isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],)"
    R"("ranges":[[{"subnet":"10.1.2.0/24"}]]})";

struct Outside {
  TestHost host;
  OutsideHost outside{host};
  TestSandbox sandbox{"c1"};
  Outside() { host.enable_forwarding(); }
};

/// A segment that belongs to no connection.
void send_reset(const TestNamespace& from, std::string_view to) {
  from.run([&] {
    const cni::Fd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
    REQUIRE(fd.valid());
    tcphdr segment{};
    segment.source = htons(40000);
    segment.dest = htons(8080);
    segment.doff = 5;
    segment.rst = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    REQUIRE(::inet_pton(AF_INET, std::string(to).c_str(), &address.sin_addr) == 1);
    const void* const target = &address;
    CHECK(::sendto(fd.get(), &segment, sizeof segment, 0, static_cast<const sockaddr*>(target),
                   sizeof address) == sizeof segment);
  });
}

}  // namespace

TEST_CASE("masquerade CHECK: a rule altered under its old comment is named", "[masq][check]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment one{.conf = bridge_conf(kDualStack), .netns = sandbox.path()};
  cni::Json result = one.add();
  const std::size_t many = commented_rules("inet").size();
  for (std::size_t i = 0; i < many; ++i) {
    const Commented rule = commented_rules("inet").at(i);
    INFO(rule.chain << ": " << rule.comment);
    tool(concat("nft replace rule inet cnipp ", rule.chain, " handle ", rule.handle,
                " accept comment \"", rule.comment, "\""));
    const Output output = one.run("CHECK", result);
    CHECK(code_of(output) == 101);
    CHECK_THAT(message_of(output), contains(rule.chain));
    CHECK_THAT(message_of(output), contains(rule.comment));
    one.del();
    result = one.add();
    REQUIRE(one.run("CHECK", result).ok());
  }
}

TEST_CASE("masquerade CHECK: a ruleset that nft has saved and restored is the same",
          "[masq][check]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment one{.conf = bridge_conf(kDualStack), .netns = sandbox.path()};
  const cni::Json result = one.add();
  const std::string saved = tool("nft list ruleset");
  tool("nft flush ruleset");
  REQUIRE(run({.argv = {"nft", "-f", "-"}, .input = saved}).ok());
  const Output check = one.run("CHECK", result);
  INFO(check.text());
  CHECK(check.ok());
  one.del();
  CHECK(table() == "");
}

TEST_CASE("masquerade: a second ADD of an attachment replaces what the first made", "[masq]") {
  const TestHost host;
  const Snapshot before = snapshot_host().only("nft");
  {
    TestSandbox first("c1");
    Attachment{.conf = fixed("10.1.0.2/24"), .netns = first.path()}.add();
    TestSandbox::destroy(std::move(first));
  }
  REQUIRE(eventually([] { return ports_of("cni0").empty(); }));
  const TestSandbox second("c1");
  const Attachment one{.conf = fixed("10.1.0.3/24"), .netns = second.path()};
  const cni::Json result = one.add();
  CHECK(masqueraded() == Names{"10.1.0.3"});
  CHECK(one.run("CHECK", result).ok());
  SECTION("with prevResult") { REQUIRE(one.run("DEL", result).ok()); }
  SECTION("without") { one.del(); }
  CHECK(difference(before, snapshot_host().only("nft")) == "");
}

TEST_CASE("masquerade: DEL takes the owner's, whatever prevResult says", "[masq]") {
  const TestHost host;
  const TestSandbox a("c1"), b("c2");
  const Attachment one{.conf = fixed("10.1.0.2/24"), .netns = a.path()};
  const Attachment two{.conf = fixed("10.1.0.3/24"), .netns = b.path(), .id = "c2"};
  one.add();
  const cni::Json of_two = two.add();
  REQUIRE(one.run("DEL", of_two).ok());
  CHECK(masqueraded() == Names{"10.1.0.3"});
  CHECK(two.run("CHECK", of_two).ok());
}

TEST_CASE("masquerade: the address of a container that lives is a conflict", "[masq]") {
  const TestHost host;
  TestSandbox victim("victim");
  const TestSandbox tenant("tenant");
  const Attachment theirs{.conf = fixed("10.1.0.2/24"), .netns = victim.path(), .id = "victim"};
  const cni::Json result = theirs.add();
  const std::string subnet = GENERATE("10.1.0.2/24", "10.1.0.2/16");
  const Attachment ours{
      .conf = fixed(subnet, "net2", R"("bridge":"cni2",)"), .netns = tenant.path(), .id = "tenant"};
  const Output output = ours.run("ADD");
  INFO(output.text());
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains("victim"));
  CHECK_THAT(message_of(output), contains("tenant"));
  CHECK(theirs.run("CHECK", result).ok());

  TestSandbox::destroy(std::move(victim));
  CHECK(eventually([] { return ports_of("cni0").empty(); }));
  const cni::Json taken = ours.add();
  CHECK(masqueraded() == Names{"10.1.0.2"});
  CHECK(ours.run("CHECK", taken).ok());
  theirs.del();
  CHECK(masqueraded() == Names{"10.1.0.2"});
  ours.del();
  CHECK(table() == "");
}

TEST_CASE("masquerade DEL: with the last container of a subnet its part goes", "[masq]") {
  const TestHost host;
  const TestSandbox a("c1"), b("c2"), c("c3");
  const Attachment one{.conf = fixed("10.1.0.2/24"), .netns = a.path()};
  const Attachment two{.conf = fixed("10.1.0.3/24"), .netns = b.path(), .id = "c2"};
  const Attachment other{
      .conf = fixed("10.2.0.2/24", "net2", R"("bridge":"cni2",)"), .netns = c.path(), .id = "c3"};
  one.add();
  const std::string alone = table();
  other.add();
  two.add();
  two.del();
  CHECK(masqueraded() == Names{"10.1.0.2", "10.2.0.2"});
  other.del();
  CHECK(table() == alone);
  one.del();
  CHECK(table() == "");
}

TEST_CASE("masquerade: what belongs to no connection does not leave the host", "[masq]") {
  const Outside used;
  const std::string plugin = GENERATE("bridge", "ptp");
  const Attachment one{
      .conf = plugin_conf(plugin, kRoutedBoth), .netns = used.sandbox.path(), .plugin = plugin};
  const cni::Json result = one.add();
  tool("nft add table inet seen", &used.outside.net());
  tool("nft add counter inet seen bare", &used.outside.net());
  tool("nft add chain inet seen in { type filter hook prerouting priority -300 ; }",
       &used.outside.net());
  tool("nft add rule inet seen in ip saddr 10.1.2.0/24 counter name bare", &used.outside.net());
  // The way works before and after, so that what is not seen was dropped.
  CHECK(tcp_peer_seen({used.sandbox.net(), used.outside.net(), OutsideHost::kV4}) ==
        std::string(OutsideHost::kHostV4));
  send_reset(used.sandbox.net(), OutsideHost::kV4);
  CHECK(udp_peer_seen({used.sandbox.net(), used.outside.net(), OutsideHost::kV4}) ==
        std::string(OutsideHost::kHostV4));
  CHECK_THAT(tool("nft list counter inet seen bare", &used.outside.net()), contains("packets 0"));
  CHECK(one.run("CHECK", result).ok());
}

TEST_CASE("masquerade: one family alone, and destinations left out", "[masq]") {
  const Outside used;
  const std::string plugin = GENERATE("bridge", "ptp");
  const std::string backend = GENERATE("nftables", "iptables");
  const auto conf = [&](std::string_view masq, std::string_view exclude) {
    return plugin_conf(plugin,
                       concat(R"("isDefaultGateway":true,"ipMasq":)", masq, R"(,"ipMasqBackend":")",
                              backend, R"(","ipMasqExclude":)", exclude,
                              R"(,"ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"},)",
                              R"({"dst":"::/0"}],"ranges":[[{"subnet":"10.1.2.0/24"}],)",
                              R"([{"subnet":"2001:db8:1::/64"}]]})"));
  };
  const auto peer = [&](std::string_view address) {
    return tcp_peer_seen({used.sandbox.net(), used.outside.net(), address});
  };
  // The machine outside knows the way back to what comes as it is.
  tool(concat("ip route add 10.1.2.0/24 via ", OutsideHost::kHostV4), &used.outside.net());
  tool(concat("ip route add 2001:db8:1::/64 via ", OutsideHost::kHostV6), &used.outside.net());
  const auto attach = [&](const std::string& text) {
    return Attachment{.conf = text, .netns = used.sandbox.path(), .plugin = plugin};
  };
  const Snapshot before = snapshot_host().only("nft");
  SECTION("ipv4") {
    const Attachment one = attach(conf(R"("ipv4")", "[]"));
    const cni::Json result = one.add();
    CHECK(peer(OutsideHost::kV4) == std::string(OutsideHost::kHostV4));
    CHECK(peer(OutsideHost::kV6) == "2001:db8:1::2");
    CHECK(one.run("CHECK", result).ok());
    one.del();
  }
  SECTION("ipv6") {
    const Attachment one = attach(conf(R"("ipv6")", "[]"));
    const cni::Json result = one.add();
    CHECK(peer(OutsideHost::kV4) == "10.1.2.2");
    CHECK(peer(OutsideHost::kV6) == std::string(OutsideHost::kHostV6));
    CHECK(one.run("CHECK", result).ok());
    one.del();
  }
  SECTION("both, with an exception of each") {
    const Attachment one = attach(conf("true", R"(["192.0.2.0/24","2001:db8:ffff::/48"])"));
    const cni::Json result = one.add();
    CHECK(peer(OutsideHost::kV4) == "10.1.2.2");
    CHECK(peer(OutsideHost::kV6) == "2001:db8:1::2");
    CHECK(one.run("CHECK", result).ok());
    one.del();
  }
  if (backend == "nftables") CHECK(difference(before, snapshot_host().only("nft")) == "");
}

TEST_CASE("masquerade: keys that say nothing usable", "[masq]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const auto error = [&](std::string_view key, const cni::Json& value) {
    const std::string conf = with(bridge_conf(kDualStack), key, value);
    return Attachment{.conf = conf, .netns = sandbox.path()}.run("ADD");
  };
  const Output family = error("ipMasq", cni::Json::parse(R"("ipv5")"));
  CHECK(code_of(family) == 7);
  CHECK_THAT(message_of(family), contains("ipMasq"));
  CHECK_THAT(message_of(family), contains("ipv5"));
  const Output net = error("ipMasqExclude", cni::Json::parse(R"(["10.0.0.0/8","10.1.2"])"));
  CHECK(code_of(net) == 7);
  CHECK_THAT(message_of(net), contains("ipMasqExclude[1]"));
  CHECK_THAT(message_of(net), contains("10.1.2"));
}

TEST_CASE("masquerade: a table or chain that does not work is noticed", "[masq]") {
  const TestHost host;
  const TestSandbox a("c1"), b("c2");
  const Attachment one{.conf = fixed("10.1.0.2/24"), .netns = a.path()};
  const Attachment two{.conf = fixed("10.1.0.3/24"), .netns = b.path(), .id = "c2"};
  const cni::Json result = one.add();
  SECTION("a dormant table: CHECK says it, ADD wakes it") {
    tool("nft add table inet cnipp { flags dormant ; }");
    const Output check = one.run("CHECK", result);
    CHECK(code_of(check) == 101);
    CHECK_THAT(message_of(check), contains("dormant"));
    two.add();
    CHECK(one.run("CHECK", result).ok());
  }
  SECTION("a chain of our name without a hook: all say it, DEL removes what is ours") {
    one.del();
    tool("nft add table inet cnipp");
    tool("nft add chain inet cnipp masq-postrouting");
    for (const char* const verb : {"ADD", "STATUS"}) {
      const Output output = two.run(verb);
      INFO(output.text());
      CHECK(code_of(output) == (std::string(verb) == "ADD" ? 100 : 50));
      CHECK_THAT(message_of(output), contains("masq-postrouting"));
    }
    two.del();
  }
  SECTION("a map of our name with other keys: ADD and STATUS say it, DEL and GC end") {
    one.del();
    tool("nft add table inet cnipp");
    tool("nft add set inet cnipp masq-ledger { type inet_service ; }");
    for (const char* const verb : {"ADD", "STATUS"}) {
      const Output output = two.run(verb);
      INFO(output.text());
      CHECK(code_of(output) == (std::string(verb) == "ADD" ? 100 : 50));
      CHECK_THAT(message_of(output), contains("masq-ledger"));
    }
    two.del();
    CHECK(run_gc(two.conf, {"c2"}).ok());
  }
}

TEST_CASE("masquerade: attachments of the first layout live on", "[masq][upgrade]") {
  const TestHost host;
  const TestSandbox a("c1"), b("c2");
  const Attachment one{.conf = fixed("10.1.0.2/24"), .netns = a.path()};
  const Attachment two{.conf = fixed("10.1.0.3/24"), .netns = b.path(), .id = "c2"};
  const cni::Json result = one.add();
  const Snapshot empty = snapshot_host().only("nft");
  tool("nft delete table inet cnipp");
  const std::string chain = "masq4-" + cni::sha512_hex("10.1.0.0/24 ", 16);
  const std::string label = cni::Owner("net1", "c1", "eth0").label("n=1", 127);
  const std::string ruleset = concat(R"(table inet cnipp {
  map masq4 {
    type ipv4_addr : verdict
    elements = { 10.1.0.2 comment ")",
                                     label, R"(" : goto )", chain, R"( }
  }
  map masq6 {
    type ipv6_addr : verdict
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    ip saddr vmap @masq4 comment "masq4"
    ip6 saddr vmap @masq6 comment "masq6"
  }
  chain )",
                                     chain, R"( {
    ip daddr 224.0.0.0/4 return comment "multicast"
    ip daddr 10.1.0.0/24 return comment "own subnet 10.1.0.0/24"
    masquerade comment "everything else"
  }
}
)");
  const Output loaded = run({.argv = {"nft", "-f", "-"}, .input = ruleset});
  INFO(loaded.text());
  REQUIRE(loaded.ok());

  const Output check = one.run("CHECK", result);
  INFO(check.text());
  CHECK(check.ok());
  SECTION("CHECK sees an altered rule") {
    tool(concat("nft flush chain inet cnipp ", chain));
    const Output changed = one.run("CHECK", result);
    CHECK(code_of(changed) == 101);
    CHECK_THAT(message_of(changed), contains(chain));
  }
  SECTION("DEL, beside one of today's") {
    const cni::Json second = two.add();
    CHECK(one.run("CHECK", result).ok());
    CHECK(two.run("CHECK", second).ok());
    one.del();
    CHECK(table().find("masq4") == std::string::npos);
    CHECK(two.run("CHECK", second).ok());
    two.del();
    CHECK(table() == "");
  }
  SECTION("DEL with prevResult, alone") {
    REQUIRE(one.run("DEL", result).ok());
    CHECK(table() == "");
  }
  SECTION("GC keeps what is valid and collects the rest") {
    REQUIRE(run_gc(one.conf, {"c1"}).ok());
    CHECK(one.run("CHECK", result).ok());
    REQUIRE(run_gc(one.conf, {}).ok());
    CHECK(table() == "");
  }
  SECTION("its address is a conflict while it lives") {
    const TestSandbox c("c3");
    const Attachment thief{
        .conf = fixed("10.1.0.2/24", "net2", R"("bridge":"cni2",)"), .netns = c.path(), .id = "c3"};
    const Output output = thief.run("ADD");
    INFO(output.text());
    // The fast way looks at today's elements alone.
    CHECK((output.ok() || code_of(output) == 102));
  }
}

TEST_CASE("masquerade GC: thousands of dead attachments in one change", "[masq][gc]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment one{.conf = fixed("10.1.0.2/16"), .netns = sandbox.path()};
  const cni::Json result = one.add();
  const std::string text = table();
  const auto at = text.find("goto masq-");
  const std::string users = text.substr(at + 5, 5 + 16) + "-users";
  const std::string sources = users.substr(0, 5 + 16) + "-ipv4";
  std::string ledger = "add element inet cnipp masq-ledger { ",
              set = concat("add element inet cnipp ", sources, " { ");
  for (int i = 0; i < 10000; ++i) {
    const std::string address = concat("10.1.", 1 + i / 250, ".", 1 + i % 250);
    const std::string label = cni::Owner("net1", concat("dead", i), "eth0").label("", 127);
    ledger +=
        concat(i == 0 ? "" : ", ", "::ffff:", address, " comment \"", label, "\" : goto ", users);
    set += concat(i == 0 ? "" : ", ", address);
  }
  const Output loaded =
      run({.argv = {"nft", "-f", "-"}, .input = concat(ledger, " }\n", set, " }\n")});
  INFO(loaded.err.substr(0, 500));
  REQUIRE(loaded.ok());
  CHECK(masqueraded().size() == 10001);
  const Output gc = run_gc(one.conf, {"c1"});
  INFO(gc.text());
  CHECK(gc.ok());
  CHECK(masqueraded() == Names{"10.1.0.2"});
  CHECK(one.run("CHECK", result).ok());
}
