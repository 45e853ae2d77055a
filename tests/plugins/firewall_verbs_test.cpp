// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What the verbs of the firewall plugin make, leave and notice; the backend is nftables.
#include "base/concat.h"
#include "plugins/firewall_fixture.h"
#include "support/catch.h"
#include "support/poll.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

const std::string kIsolated = R"("ingressPolicy":"isolated")";
const std::string kSameBridge = R"("ingressPolicy":"same-bridge")";

void drop_like_docker() {
  for (const char* const program : {"iptables", "ip6tables"}) {
    tool(concat(program, " -P FORWARD DROP"));
  }
}

/// What filters packets: nf_tables, iptables included, and our files.
Snapshot rules() { return snapshot_host().without_hints().only("nft iptables file"); }

/// Rules that say something: chains, maps and jumps alone do not.
Snapshot effective(const Snapshot& snapshot) {
  Snapshot out;
  for (const std::string& line : snapshot.lines) {
    if (line.find("nft element") == 0 || line.find("accept:null") != std::string::npos) {
      out.lines.push_back(line);
    }
  }
  return out;
}

Output call(std::string_view verb, const std::string& conf) {
  return Attachment{.conf = conf, .netns = "/run/netns/a", .id = "a", .plugin = "firewall"}.run(
      verb);
}

Output gc(const std::vector<std::string>& valid, const std::string& network = "net1") {
  Json list = Json::array();
  for (const std::string& id : valid) {
    list.push(Json::object().set("containerID", id).set("ifname", "eth0"));
  }
  return call("GC", with(firewall_conf("", "1.1.0", network), "cni.dev/valid-attachments",
                         std::move(list)));
}

}  // namespace

TEST_CASE("firewall ADD: passes the result on as it came, in every version", "[firewall][add]") {
  const TestHost host;
  const char* const version = GENERATE("0.3.1", "0.4.0", "1.0.0", "1.1.0");
  const Json previous = Json::parse(concat(
      R"({"cniVersion":")", version,
      R"(","interfaces":[{"name":"cni0","x":1},{"name":"eth0","sandbox":"/run/netns/a"}],)"
      R"("ips":[{"version":"4","address":"10.1.2.3/24","interface":1}],"extra":{"k":[1,2]}})"));
  const Attachment attachment{.conf = with(firewall_conf("", version), "prevResult", previous),
                              .netns = "/run/netns/a",
                              .plugin = "firewall"};
  CHECK(attachment.add().dump() == previous.dump());
  CHECK(attachment.add().dump() == previous.dump());
  attachment.del();
}

TEST_CASE("firewall ADD: refuses what it cannot mean", "[firewall][add]") {
  const TestHost host;
  const Pod pod({}, "a");
  const Snapshot before = rules();
  const auto refused = [&](const std::string& members, const std::string& text) {
    const Output output = call("ADD", with(firewall_conf(members), "prevResult", pod.result()));
    INFO(output.text());
    CHECK(code_of(output) == 7);
    CHECK_THAT(message_of(output), contains(text));
    CHECK(code_of(call("DEL", firewall_conf(members))) == 0);
  };
  refused(R"("backend":"ebtables")", R"(backend: unknown firewall backend "ebtables")");
  refused(R"("ingressPolicy":"closed")", R"(unknown ingress policy: "closed")");
  refused(R"("iptablesAdminChainName":"A B")", "iptablesAdminChainName");
  refused(R"("iptablesAdminChainName":"12345678901234567890123456789")", "at most 28");
  refused(R"("firewalldZone":"-x")", "firewalldZone");
  refused(R"("backend":5)", "backend");
  const Output alone = call("ADD", firewall_conf(""));
  CHECK(code_of(alone) == 7);
  CHECK_THAT(message_of(alone), contains("prevResult"));
  const Json no_bridge = Json::parse(
      R"({"interfaces":[{"name":"eth0","sandbox":"/run/netns/a"}],"ips":[{"address":"10.1.2.3/24"}]})");
  const Output no_link = call("ADD", with(firewall_conf(kIsolated), "prevResult", no_bridge));
  CHECK(code_of(no_link) == 7);
  CHECK_THAT(message_of(no_link), contains("no interface on the host"));
  CHECK(difference(before, rules()) == "");
}

TEST_CASE("firewall ADD: a limit to addresses", "[firewall][add]") {
  const TestHost host;
  const auto output = [](int count, std::string_view verb) {
    std::string ips;
    for (int i = 0; i < count; ++i) {
      ips += concat(i == 0 ? "" : ",", R"({"address":"10.)", i / 65536, ".", i / 256 % 256, ".",
                    i % 256, "/8\"}");
    }
    return call(verb,
                with(firewall_conf(""), "prevResult",
                     Json::parse(concat(R"({"interfaces":[{"name":"cni0"}],"ips":[)", ips, "]}"))));
  };
  CHECK(output(1024, "ADD").ok());
  CHECK(output(1024, "CHECK").ok());
  const Output refused = output(100000, "ADD");
  CHECK(code_of(refused) == 7);
  CHECK_THAT(message_of(refused), Catch::Contains("prevResult.ips: more than 1024"));
  CHECK(output(100000, "DEL").ok());
}

TEST_CASE("firewall ADD: empty texts mean not set", "[firewall][add]") {
  const TestHost host;
  const Pod pod({.firewall = R"("backend":"","ingressPolicy":"","iptablesAdminChainName":"",)"
                             R"("firewalldZone":"")"},
                "a");
  pod.admit();
  CHECK(pod.firewall("CHECK").ok());
}

TEST_CASE("firewall ADD: nothing is filtered, nothing is made", "[firewall][add]") {
  const TestHost host;
  const Pod pod({}, "a");
  const Snapshot before = rules().only("nft");
  pod.admit();
  CHECK(difference(before, rules().only("nft")) == "");
  CHECK(pod.firewall("CHECK").ok());
}

TEST_CASE("firewall ADD: iptables lists what was made as its own", "[firewall][add]") {
  const TestHost host;
  drop_like_docker();
  const Pod pod({}, "a");
  pod.admit().admit();
  for (const char* const save : {"iptables-save", "ip6tables-save"}) {
    const std::string saved = tool(concat(save, " -t filter"));
    INFO(saved);
    for (const char* const line :
         {"-A FORWARD -m comment --comment \"CNI firewall plugin rules\" -j CNI-FORWARD\n",
          "-A CNI-FORWARD -m comment --comment \"CNI firewall plugin admin overrides\" -j "
          "CNI-ADMIN\n",
          "-A CNI-FORWARD -o cni0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "
          "\"cnipp cni0\" -j ACCEPT\n",
          "-A CNI-FORWARD -o cni0 -m conntrack --ctstate DNAT -m comment --comment \"cnipp cni0\" "
          "-j ACCEPT\n",
          "-A CNI-FORWARD -i cni0 -m comment --comment \"cnipp cni0\" -j ACCEPT\n"}) {
      const auto first = saved.find(line);
      CHECK(first != std::string::npos);
      CHECK(saved.find(line, first + 1) == std::string::npos);
    }
  }
  // iptables changes them, too.
  CHECK(run({.argv = {"iptables", "-D", "CNI-FORWARD", "-i", "cni0", "-m", "comment", "--comment",
                      "cnipp cni0", "-j", "ACCEPT"}})
            .ok());
}

TEST_CASE("firewall ADD: without an interface on the host, by address", "[firewall][add]") {
  const TestHost host;
  drop_like_docker();
  const Attachment attachment{
      .conf = with(firewall_conf(""), "prevResult",
                   Json::parse(R"({"ips":[{"address":"10.9.0.3/24"},{"address":"fd00::9/64"}]})")),
      .netns = "/run/netns/a",
      .plugin = "firewall"};
  const Snapshot before = rules();
  attachment.add();
  CHECK_THAT(tool("iptables-save -t filter"), contains("-A CNI-FORWARD -s 10.9.0.3/32"));
  CHECK_THAT(tool("ip6tables-save -t filter"), contains("-A CNI-FORWARD -s fd00::9/128"));
  CHECK(attachment.run("CHECK").ok());
  attachment.del();
  CHECK(difference(effective(before), effective(rules())) == "");
}

TEST_CASE("firewall DEL: leaves nothing of the attachment, with or without prevResult",
          "[firewall][del]") {
  const TestHost host;
  drop_like_docker();
  const Network network{.firewall = GENERATE(std::string(), kIsolated, kSameBridge)};
  Pod first(network, "a");
  const Pod second(network, "b");
  const Snapshot none = rules();
  second.admit();
  const Snapshot before = rules();
  first.admit();
  const char* const how = GENERATE("prevResult", "nothing", "garbage", "gone", "changed");
  INFO(how);
  std::string conf = network.firewall_document();
  if (how == std::string("prevResult")) conf = with(conf, "prevResult", first.result());
  if (how == std::string("garbage")) conf = with(conf, "prevResult", Json::parse("[5]"));
  if (how == std::string("gone")) first.sandbox().unlink();
  if (how == std::string("changed")) {
    conf = with(with(conf, "ingressPolicy", "nonsense"), "backend", "iptables");
  }
  CHECK(code_of(call("DEL", conf)) == 0);
  CHECK(difference(before, rules()) == "");
  CHECK(code_of(call("DEL", conf)) == 0);
  CHECK(difference(before, rules()) == "");
  CHECK(second.firewall("CHECK").ok());
  CHECK(second.firewall("DEL").ok());
  CHECK(difference(effective(none), effective(rules())) == "");
}

TEST_CASE("firewall policies: the last one of a bridge takes its part along",
          "[firewall][del][each-kernel]") {
  const TestHost host;
  const Network same{.firewall = kSameBridge};
  const Network isolated{.firewall = kIsolated};
  const Pod a(same, "a"), b(same, "b"), c(isolated, "c");
  a.admit();
  c.admit();
  b.admit();
  CHECK(is_kept_from(a.net(), c.net(), c.v4()));
  CHECK(c.firewall("DEL").ok());
  CHECK(reaches(a.net(), c.net(), c.v4()));
  CHECK(reaches(a.net(), b.net(), b.v4()));
  CHECK(a.firewall("CHECK").ok());
  CHECK(a.firewall("DEL").ok());
  CHECK(rules().mentions("bridge-cni0"));
  CHECK(b.firewall("DEL").ok());
  CHECK_FALSE(rules().mentions("cni0"));
}

TEST_CASE("firewall CHECK: notices what is missing or changed", "[firewall][check]") {
  const TestHost host;
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  drop_like_docker();
  const Pod pod({.firewall = kIsolated}, "a");
  pod.admit();
  wait_for_addresses();
  REQUIRE(pod.firewall("CHECK").ok());
  const std::string change = GENERATE(
      "iptables -F", "iptables -F CNI-FORWARD", "ip6tables -F CNI-FORWARD", "iptables -F FORWARD",
      "ip6tables -D CNI-FORWARD 2", "iptables -D CNI-FORWARD 1", "nft delete table inet cnipp",
      "nft flush chain inet cnipp forward", "nft flush chain inet cnipp isolated-cni0",
      "nft flush chain inet cnipp bridge-cni0", "nft flush map inet cnipp isolated",
      "nft flush map inet cnipp from-bridge", "nft flush map inet cnipp to-bridge",
      "nft flush map inet cnipp ingress-policy", "nft flush map inet cnipp forward-accept",
      "nft delete table bridge cnipp", "nft flush chain bridge cnipp forward",
      "nft flush map bridge cnipp isolated", "nft flush ruleset");
  INFO(change);
  tool(change);
  const Snapshot changed = snapshot_host();
  const Output output = pod.firewall("CHECK");
  INFO(output.text());
  CHECK(code_of(output) == 101);
  CHECK(difference(changed, snapshot_host()) == "");
  // What ADD makes, RESTORE makes again.
  CHECK(pod.firewall("RESTORE").ok());
  CHECK(pod.firewall("CHECK").ok());
}

TEST_CASE("firewall: the administrator's chains come first", "[firewall][admin]") {
  const TestHost host;
  drop_like_docker();
  OutsideHost outside(host);
  SECTION("iptables") {
    const Pod pod({.firewall = R"("iptablesAdminChainName":"SITE")", .masquerade = true}, "a");
    pod.admit();
    REQUIRE(reaches(pod.net(), outside.net(), OutsideHost::kV4));
    tool("iptables -A SITE -s 10.1.2.0/24 -j DROP");
    CHECK(is_kept_from(pod.net(), outside.net(), OutsideHost::kV4));
    CHECK(pod.firewall("DEL").ok());
    CHECK_THAT(tool("iptables-save -t filter"), contains("-A SITE -s 10.1.2.0/24 -j DROP"));
  }
  SECTION("nf_tables") {
    const Network network{.firewall = kSameBridge};
    const Network second{.name = "net2", .bridge = "cni1", .number = 3, .firewall = kSameBridge};
    const Pod a(network, "a"), b(second, "b");
    a.admit();
    b.admit();
    REQUIRE(is_kept_from(a.net(), b.net(), b.v4()));
    tool(concat("nft add rule inet cnipp admin ip daddr ", b.v4(), " accept"));
    tool("nft add rule inet cnipp admin ct state established accept");
    CHECK(reaches(a.net(), b.net(), b.v4()));
    CHECK(a.firewall("DEL").ok());
    CHECK(b.firewall("DEL").ok());
    CHECK(gc({}).ok());
    CHECK(gc({}, "net2").ok());
    CHECK(tool("nft list chain inet cnipp admin").find("accept") != std::string::npos);
  }
}

TEST_CASE("firewall GC: removes what belongs to nobody, of its network", "[firewall][gc]") {
  const TestHost host;
  drop_like_docker();
  const Snapshot untouched = snapshot_host().only("nft");
  const Network network{.firewall = GENERATE(std::string(), kIsolated)};
  Network second = network;
  second.name = "net2";
  second.bridge = "cni1";
  second.number = 3;
  const Pod a(network, "a"), b(network, "b"), other(second, "a");
  other.admit();
  const Snapshot with_other = rules();
  b.admit();
  const Snapshot with_b = rules();
  a.admit();
  CHECK(code_of(call("GC", firewall_conf(""))) == 0);  // nothing is known
  CHECK(a.firewall("CHECK").ok());
  CHECK(gc({"b"}).ok());
  CHECK(difference(with_b, rules()) == "");
  CHECK(gc({}).ok());
  CHECK(difference(with_other, rules()) == "");
  CHECK(other.firewall("CHECK").ok());
  CHECK(gc({}, "net2").ok());
  CHECK(difference(untouched, snapshot_host().only("nft")) == "");
}

TEST_CASE("firewall STATUS: says what drops and cannot be told", "[firewall][status]") {
  const TestHost host;
  const Snapshot before = snapshot_host();
  CHECK(code_of(call("STATUS", firewall_conf(""))) == 0);
  CHECK(code_of(call("STATUS", firewall_conf(R"("backend":"x")"))) == 7);
  CHECK(difference(before, snapshot_host()) == "");
  drop_like_docker();
  CHECK(code_of(call("STATUS", firewall_conf(""))) == 0);
  tool("nft add table ip site");
  tool("nft add chain ip site gate { type filter hook forward priority 5 ; policy drop ; }");
  const Output output = call("STATUS", firewall_conf(""));
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("table ip site, chain gate"));
  CHECK(code_of(call("STATUS", firewall_conf(R"("backend":"nftables")"))) == 0);
  CHECK(code_of(call("STATUS", firewall_conf(R"("backend":"firewalld")"))) == 50);
  CHECK(code_of(call("STATUS", firewall_conf(R"("backend":"iptables")"))) == 0);
  // ADD says so, and goes on: the table's own rules may accept.
  const Pod pod({}, "a", {"CNI_LOG_LEVEL=warn"});
  const Output added = pod.firewall("ADD");
  CHECK(added.ok());
  CHECK_THAT(added.err, contains("table ip site, chain gate"));
}

TEST_CASE("firewall: parallel ADDs and DELs leave neither gaps nor repetitions",
          "[firewall][parallel]") {
  const TestHost host;
  drop_like_docker();
  const Network networks[] = {
      {.firewall = kIsolated},
      {.name = "net2", .bridge = "cni1", .number = 3, .firewall = kSameBridge}};
  std::vector<Pod> pods;
  for (int i = 0; i < 12; ++i) pods.emplace_back(networks[i % 2], concat("p", i));
  const Snapshot before = rules();
  for (int round = 0; round < 3; ++round) {
    for (const char* const verb : {"ADD", "CHECK", "DEL"}) {
      std::vector<Command> commands;
      for (const Pod& pod : pods) commands.push_back(pod.command(verb));
      for (const Output& output : run_parallel(commands)) {
        INFO(verb << ": " << output.text());
        CHECK(output.ok());
      }
      if (verb != std::string("ADD")) continue;
      const std::string saved = tool("iptables-save -t filter");
      CHECK(saved.find("-A FORWARD", saved.find("-A FORWARD") + 1) == std::string::npos);
    }
  }
  CHECK(difference(effective(before), effective(rules())) == "");
}

TEST_CASE("firewall: no process is started, and the cost does not grow", "[firewall][cost]") {
  const TestHost host;
  drop_like_docker();
  const Pod pod({.firewall = kIsolated}, "a");
  const std::string log = concat(host.scratch(), "/trace");
  for (const char* const verb : {"ADD", "CHECK", "DEL"}) {
    Command traced = pod.command(verb);
    traced.argv.insert(traced.argv.begin(),
                       {"strace", "-f", "-e", "trace=execve,clone,fork,vfork,clone3", "-o", log});
    const Output output = run(traced);
    INFO(output.text());
    REQUIRE(output.ok());
    const std::string trace = cni::read_file(log);
    INFO(trace);
    CHECK(trace.find("clone(") == std::string::npos);
    CHECK(trace.find("clone3(") == std::string::npos);
    CHECK(trace.find("fork(") == std::string::npos);
  }
}

TEST_CASE("firewall: spoof checks and isolation share the bridge's table", "[firewall][shared]") {
  const TestHost host;
  const TestSandbox one("one");
  const Pod pod({.firewall = kIsolated}, "a");
  const bool policy_first = GENERATE(true, false);
  if (policy_first) pod.admit();
  const Attachment spoof{
      .conf = bridge_conf(R"("macspoofchk":true)"), .netns = one.path(), .id = "one"};
  const Json added = spoof.add();
  if (!policy_first) pod.admit();
  CHECK(spoof.run("CHECK", added).ok());
  CHECK(pod.firewall("CHECK").ok());
  spoof.del();
  CHECK(pod.firewall("CHECK").ok());
  CHECK_FALSE(rules().mentions("macspoof"));
  CHECK(pod.firewall("DEL").ok());
  CHECK(gc({}).ok());
  CHECK_FALSE(rules().mentions("nft table bridge"));
}

TEST_CASE("firewall ADD: replaces what the attachment had", "[firewall][add]") {
  const TestHost host;
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  const Network isolated{.firewall = kIsolated};
  const Pod a(isolated, "a"), b(isolated, "b");
  const Snapshot none = rules();
  a.admit();
  b.admit();
  REQUIRE(is_kept_from(a.net(), b.net(), b.v4()));
  const auto again = [](const Pod& pod, const std::string& policy) {
    Attachment attachment = pod.attachment();
    attachment.conf = with(attachment.conf, "ingressPolicy", policy);
    CHECK(attachment.run("ADD").ok());
    CHECK(attachment.run("CHECK").ok());
    return attachment;
  };
  SECTION("by a milder policy") {
    const std::string policy = GENERATE("same-bridge", "open");
    INFO(policy);
    again(a, policy);
    again(b, policy);
    CHECK(reaches(a.net(), b.net(), b.v4()));
  }
  SECTION("by what another backend makes") {
    Attachment attachment = a.attachment();
    attachment.conf = with(attachment.conf, "backend", "iptables");
    attachment.add();
    CHECK(rules().mentions(a.v4()));
    a.admit();
    CHECK_FALSE(rules().only("iptables").mentions(a.v4()));
  }
  SECTION("by one for a link that is gone") {
    Attachment bridge{.conf = isolated.bridge_document(), .netns = "", .id = "a"};
    bridge.del();
    CHECK(a.firewall("ADD").ok());
  }
  CHECK(a.firewall("DEL").ok());
  CHECK(b.firewall("DEL").ok());
  CHECK(difference(effective(none), effective(rules())) == "");
}

TEST_CASE("firewall CHECK: iptables' chain may come after the attachments", "[firewall][check]") {
  const TestHost host;
  const Pod pod(Network{}, "a");
  pod.admit();
  tool("iptables -P FORWARD ACCEPT");
  tool("ip6tables -P FORWARD ACCEPT");
  CHECK(pod.firewall("CHECK").ok());
  drop_like_docker();
  CHECK(code_of(pod.firewall("CHECK")) == 101);
  pod.admit();
  CHECK(pod.firewall("CHECK").ok());
}

TEST_CASE("firewall DEL: who has no rules in iptables waits for nobody", "[firewall][del]") {
  const TestHost host;
  drop_like_docker();
  const Pod other({.firewall = R"("backend":"iptables")"}, "other"), pod(Network{}, "a");
  other.admit();
  pod.admit();
  Command command = pod.command("DEL");
  command.argv.insert(command.argv.begin(), {"flock", "/run/cnipp/iptables.lock"});
  command.env.emplace_back("CNI_TIMEOUT_SECONDS=2");
  const Output output = run(command);
  INFO(output.text());
  CHECK(output.ok());
}
