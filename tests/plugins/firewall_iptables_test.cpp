// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The firewall plugin with the backend iptables, and what the reference made with it.
#include <algorithm>

#include "base/concat.h"
#include "plugins/firewall_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

const std::string kIptables = R"("backend":"iptables")";
const std::string kIsolated = R"("backend":"iptables","ingressPolicy":"isolated")";

/// The filter table's rules, without those that only we make.
std::vector<std::string> rules(const std::string& program, bool with_own = true) {
  std::vector<std::string> out;
  const std::string saved = tool(concat(program, "-save -t filter"));
  std::size_t begin = 0;
  for (std::size_t end; (end = saved.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = saved.substr(begin, end - begin);
    if (line.starts_with("-A ") && (with_own || line.find("--ctstate DNAT") == line.npos)) {
      out.push_back(line);
    }
  }
  return out;
}

std::vector<std::string> rules_with(const std::string& text) {
  std::vector<std::string> out;
  for (const char* const program : {"iptables", "ip6tables"}) {
    for (const std::string& rule : rules(program)) {
      if (rule.find(text) != std::string::npos) out.push_back(rule);
    }
  }
  return out;
}

Output gc(const std::vector<std::string>& valid) {
  Json list = Json::array();
  for (const std::string& id : valid) {
    list.push(Json::object().set("containerID", id).set("ifname", "eth0"));
  }
  return Attachment{
      .conf = with(firewall_conf(kIptables), "cni.dev/valid-attachments", std::move(list)),
      .netns = "",
      .plugin = "firewall"}
      .run("GC");
}

}  // namespace

TEST_CASE("firewall iptables: the reference's rules, and one more an address",
          "[firewall][oracle]") {
  require_reference("firewall");
  // The reference's package here does not know the policies.
  const TestHost host;
  const Pod pod({.firewall = kIptables}, "a");
  REQUIRE(pod.firewall("ADD", reference_bin_dir()).ok());
  const auto theirs4 = rules("iptables"), theirs6 = rules("ip6tables");
  CHECK(pod.firewall("CHECK").ok());
  CHECK(pod.firewall("DEL").ok());
  CHECK(rules_with(pod.v4()).empty());
  CHECK(rules_with(pod.v6()).empty());
  for (const char* const program : {"iptables", "ip6tables"}) {
    tool(concat(program, " -F"));
    tool(concat(program, " -X"));
  }
  pod.admit();
  CHECK(rules("iptables", false) == theirs4);
  CHECK(rules("ip6tables", false) == theirs6);
  CHECK(rules_with("--ctstate DNAT").size() == 2);
  CHECK(pod.firewall("CHECK", reference_bin_dir()).ok());
  const auto once = rules("iptables");
  pod.admit();
  CHECK(rules("iptables") == once);
  CHECK(pod.firewall("DEL").ok());
  CHECK(rules_with(pod.v4()).empty());
}

TEST_CASE("firewall iptables: a policy's chains stand above the acceptance", "[firewall]") {
  const TestHost host;
  const Network open{.firewall = kIptables};
  const Network isolated{.name = "net2", .bridge = "cni1", .number = 3, .firewall = kIsolated};
  const Pod a(open, "a"), b(isolated, "b");
  const bool open_first = GENERATE(true, false);
  (open_first ? a : b).admit();
  (open_first ? b : a).admit();
  const std::string both = "\"CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)\"";
  const std::string own = "\"CNI firewall plugin rules (ingressPolicy: isolated)\"";
  const auto forward = [] {
    std::vector<std::string> out;
    for (const std::string& rule : rules("iptables")) {
      if (rule.starts_with("-A FORWARD ")) out.push_back(rule);
    }
    return out;
  };
  const std::vector<std::string> wanted{
      concat("-A FORWARD -m comment --comment ", both, " -j CNI-ISOLATION-STAGE-1"),
      "-A FORWARD -m comment --comment \"CNI firewall plugin rules\" -j CNI-FORWARD"};
  CHECK(forward() == wanted);
  for (const std::string& rule :
       {concat("-A CNI-ISOLATION-STAGE-1 -i cni1 -o cni1 -m comment --comment ", own, " -j DROP"),
        concat("-A CNI-ISOLATION-STAGE-1 -i cni1 ! -o cni1 -m comment --comment ", own,
               " -j CNI-ISOLATION-STAGE-2"),
        concat("-A CNI-ISOLATION-STAGE-2 -o cni1 -m comment --comment ", both, " -j DROP")}) {
    INFO(rule);
    CHECK(rules_with(rule).size() == 2);
  }
  // A flush in between must not turn the order round.
  tool("iptables -F FORWARD");
  a.admit();
  b.admit();
  a.admit();
  CHECK(forward() == wanted);
  CHECK(b.firewall("CHECK").ok());
  tool("iptables -D FORWARD 1");
  CHECK(code_of(b.firewall("CHECK")) == 101);
  b.admit();
  CHECK(forward() == wanted);
}

TEST_CASE("firewall iptables: CHECK notices what is missing and makes nothing",
          "[firewall][check]") {
  const TestHost host;
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  const Pod pod({.firewall = kIsolated}, "a");
  pod.admit();
  wait_for_addresses();
  REQUIRE(pod.firewall("CHECK").ok());
  const std::string change = GENERATE(
      "iptables -F", "ip6tables -F CNI-FORWARD", "iptables -D CNI-FORWARD 1",
      "iptables -D CNI-FORWARD 2", "iptables -D CNI-FORWARD 3", "iptables -D CNI-FORWARD 4",
      "ip6tables -D CNI-ISOLATION-STAGE-1 1", "iptables -D CNI-ISOLATION-STAGE-1 2",
      "iptables -D CNI-ISOLATION-STAGE-2 1", "iptables -D FORWARD 1", "iptables -D FORWARD 2",
      "nft flush ruleset", "nft delete table bridge cnipp");
  INFO(change);
  tool(change);
  const Snapshot changed = snapshot_host();
  const Output output = pod.firewall("CHECK");
  INFO(output.text());
  CHECK(code_of(output) == 101);
  CHECK(difference(changed, snapshot_host()) == "");
  CHECK(pod.firewall("RESTORE").ok());
  CHECK(pod.firewall("CHECK").ok());
}

TEST_CASE("firewall iptables: DEL and GC find the rules by their owner", "[firewall][gc]") {
  const TestHost host;
  const Network network{.firewall = kIptables};
  const Pod a(network, "a"), b(network, "b"), c(network, "c");
  a.admit();
  b.admit();
  c.admit();
  // Without prevResult, and with another backend by now.
  CHECK(Attachment{.conf = firewall_conf(R"("backend":"nftables")"),
                   .netns = "",
                   .id = "a",
                   .plugin = "firewall"}
            .run("DEL")
            .ok());
  CHECK(rules_with(a.v4()).empty());
  CHECK(rules_with(a.v6()).empty());
  CHECK(rules_with(b.v4()).size() == 3);
  CHECK(gc({"c"}).ok());
  CHECK(rules_with(b.v4()).empty());
  CHECK(rules_with(c.v6()).size() == 3);
  CHECK(gc({}).ok());
  CHECK(rules("iptables").empty());
  CHECK(rules("ip6tables").empty());
}

TEST_CASE("firewall iptables: an address that somebody else has by now stays", "[firewall][del]") {
  const TestHost host;
  const std::string conf =
      with(firewall_conf(kIptables), "prevResult",
           Json::parse(R"({"interfaces":[{"name":"cni0"}],"ips":[{"address":"10.1.2.3/24"}]})"));
  const auto as = [&](const std::string& verb, const std::string& id) {
    return Attachment{.conf = conf, .netns = "/run/netns/a", .id = id, .plugin = "firewall"}
        .run(verb)
        .ok();
  };
  CHECK(as("ADD", "old"));
  CHECK(as("ADD", "new"));
  CHECK(rules_with("10.1.2.3").size() == 3);
  CHECK(as("DEL", "old"));
  CHECK(rules_with("10.1.2.3").size() == 3);
  CHECK(as("CHECK", "new"));
  CHECK(as("DEL", "new"));
  CHECK(rules_with("10.1.2.3").empty());
}

TEST_CASE("firewall iptables: parallel calls repeat nothing", "[firewall][parallel]") {
  const TestHost host;
  const Network network{.firewall = kIsolated};
  std::vector<Pod> pods;
  for (int i = 0; i < 10; ++i) pods.emplace_back(network, concat("p", i));
  for (const char* const verb : {"ADD", "CHECK"}) {
    std::vector<Command> commands;
    for (const Pod& pod : pods) commands.push_back(pod.command(verb));
    for (const Output& output : run_parallel(commands)) {
      INFO(verb << ": " << output.text());
      CHECK(output.ok());
    }
  }
  auto all = rules("iptables");
  std::ranges::sort(all);
  CHECK(std::ranges::adjacent_find(all) == all.end());
}

TEST_CASE("firewall iptables: without the programs ADD fails, DEL does not", "[firewall][del]") {
  const TestHost host;
  // Where the programs are looked for when PATH does not know.
  for (const char* const folder : {"/usr/sbin", "/sbin"}) {
    (void)run({.argv = {"mount", "-t", "tmpfs", "none", folder}});
  }
  const Attachment attachment{.conf = with(firewall_conf(kIptables), "prevResult",
                                           Json::parse(R"({"ips":[{"address":"10.1.2.3/24"}]})")),
                              .netns = "/run/netns/a",
                              .plugin = "firewall"};
  CHECK(code_of(attachment.run("ADD")) == 50);
  CHECK(code_of(attachment.run("STATUS")) == 50);
  CHECK(attachment.run("DEL").ok());
}
