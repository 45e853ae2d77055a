// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The firewall plugin in lists, run by cnitool, behind other plugins than bridge, and on hosts with
// the older iptables.
#include <filesystem>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/firewall_fixture.h"
#include "support/catch.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

/// A list of bridge and firewall in a directory of its own, which is returned.
std::string write_list(const TestHost& host, const std::string& firewall) {
  const std::string folder = concat(host.scratch(), "/lists");
  cni::make_directories(folder, 0755);
  Json list = Json::object();
  Json plugins = Json::array();
  const Network network{.firewall = firewall, .masquerade = true};
  plugins.push(Json::parse(network.bridge_document()));
  plugins.push(Json::parse(network.firewall_document()));
  list.set("cniVersion", "1.0.0").set("name", "net1").set("plugins", std::move(plugins));
  cni::write_file_atomically(concat(folder, "/net1.conflist"), list.dump(), 0644);
  return folder;
}

void drop_forwarded(const std::string& suffix = "") {
  for (const char* const program : {"iptables", "ip6tables"}) {
    tool(concat(program, suffix, " -P FORWARD DROP"));
  }
}

}  // namespace

TEST_CASE("firewall list: cnitool reload brings back what was flushed", "[firewall][reload]") {
  const TestHost host;
  drop_forwarded();
  const OutsideHost outside(host);
  const TestSandbox sandbox("c1");
  const std::string lists = write_list(host, R"("ingressPolicy":"isolated")");
  const CnitoolCall add{
      .command = "add", .network = "net1", .netns = sandbox.path(), .conf_dir = lists};
  const Output added = run_cnitool(add);
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE(reaches(sandbox.net(), outside.net(), OutsideHost::kV4));
  const std::string flush = GENERATE("iptables -F", "nft flush ruleset");
  tool(flush);
  tool("ip6tables -F");
  drop_forwarded();
  CHECK(is_kept_from(sandbox.net(), outside.net(), OutsideHost::kV4));
  Command reload = command_of(add);
  reload.argv = {concat(our_bin_dir(), "/cnitool"), "reload"};
  const Output reloaded = run(reload);
  INFO(reloaded.text());
  CHECK(reloaded.ok());
  CHECK(reaches(sandbox.net(), outside.net(), OutsideHost::kV4));
  CHECK(reaches(sandbox.net(), outside.net(), OutsideHost::kV6));
  CnitoolCall check = add;
  check.command = "check";
  CHECK(run_cnitool(check).ok());
}

TEST_CASE("firewall list: cnitool gc removes what the reference made", "[firewall][oracle]") {
  require_reference("firewall");
  const TestHost host;
  const TestSandbox sandbox("c1");
  const std::string lists = write_list(host, R"("backend":"iptables")");
  // The reference's firewall behind our bridge.
  const std::string mixed = concat(host.scratch(), "/bin");
  std::filesystem::create_directories(mixed);
  for (const char* const name : {"bridge", "host-local"}) {
    std::filesystem::create_symlink(concat(our_bin_dir(), "/", name), concat(mixed, "/", name));
  }
  std::filesystem::create_symlink(concat(reference_bin_dir(), "/firewall"),
                                  concat(mixed, "/firewall"));
  CnitoolCall call{.command = "add",
                   .network = "net1",
                   .netns = sandbox.path(),
                   .conf_dir = lists,
                   .plugin_path = mixed};
  const Output added = run_cnitool(call);
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE_THAT(tool("iptables-save -t filter"),
               contains("-A CNI-FORWARD -s 10.1.2.2/32 -j ACCEPT"));
  call.command = "check";
  call.plugin_path = our_bin_dir();
  CHECK(run_cnitool(call).ok());
  call.command = "gc";
  const Output collected = run_cnitool(call);
  INFO(collected.text());
  CHECK(collected.ok());
  CHECK_THAT(tool("iptables-save -t filter"), !contains("10.1.2.2"));
  CHECK_THAT(tool("ip6tables-save -t filter"), !contains("2001:db8:2::2"));
}

TEST_CASE("firewall: behind ptp", "[firewall][ptp]") {
  const TestHost host;
  drop_forwarded();
  const OutsideHost outside(host);
  const TestSandbox one("one"), two("two");
  const std::string ptp =
      with(bridge_conf(
               R"("ipMasq":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}],)"
               R"([{"subnet":"2001:db8:2::/64"}]],)"
               R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})"),
           "type", "ptp");
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  INFO(policy);
  std::vector<std::string> addresses;
  std::vector<Attachment> admitted;
  for (const TestSandbox* const sandbox : {&one, &two}) {
    const std::string id = sandbox == &one ? "one" : "two";
    const Json added =
        Attachment{.conf = ptp, .netns = sandbox->path(), .id = id, .plugin = "ptp"}.add();
    for (const auto& ip : added.root()["ips"].items()) {
      const std::string address = ip["address"].string();
      addresses.push_back(address.substr(0, address.find('/')));
    }
    admitted.push_back({.conf = with(firewall_conf(concat(R"("ingressPolicy":")", policy, "\"")),
                                     "prevResult", added),
                        .netns = sandbox->path(),
                        .id = id,
                        .plugin = "firewall"});
    admitted.back().add();
    CHECK(admitted.back().run("CHECK").ok());
  }
  CHECK(reaches(one.net(), outside.net(), OutsideHost::kV4));
  CHECK(reaches(one.net(), outside.net(), OutsideHost::kV6));
  for (std::size_t i = 2; i < addresses.size(); ++i) {
    INFO(addresses[i]);
    if (policy == "open") {
      CHECK(reaches(one.net(), two.net(), addresses[i]));
    } else {
      CHECK(is_kept_from(one.net(), two.net(), addresses[i]));
    }
  }
  for (const Attachment& attachment : admitted) attachment.del();
  CHECK_THAT(tool("iptables-save -t filter"), !contains("cnipp veth"));
}

TEST_CASE("firewall: iptables-legacy drops", "[firewall][legacy]") {
  const TestHost host;
  const std::string legacy = "/usr/sbin/xtables-legacy-multi", nft = "/usr/sbin/xtables-nft-multi";
  if (!std::filesystem::exists(legacy) || !std::filesystem::exists(nft) ||
      !run({.argv = {"iptables-legacy", "-t", "filter", "-S"}}).ok()) {
    skip("iptables-legacy does not work here");
  }
  // The programs of a host that was never switched over.
  tool(concat("mount --bind ", legacy, " ", nft));
  drop_forwarded("-legacy");
  const OutsideHost outside(host);
  const Pod pod({.masquerade = true}, "a");
  REQUIRE(is_kept_from(pod.net(), outside.net(), OutsideHost::kV4));
  pod.admit();
  CHECK(reaches(pod.net(), outside.net(), OutsideHost::kV4));
  CHECK(reaches(pod.net(), outside.net(), OutsideHost::kV6));
  CHECK(pod.firewall("CHECK").ok());
  CHECK(pod.firewall("DEL").ok());
  CHECK_THAT(tool("iptables-legacy-save"), !contains(pod.v4()));
}
