// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Somebody flushed the firewall: CHECK notices, `cnitool reload` makes the rules again.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

const std::string kConf = with(bridge_conf(kDualStack), "macspoofchk", true);

Output reload(std::vector<std::string> arguments = {}) {
  std::vector<std::string> argv{concat(our_bin_dir(), "/cnitool"), "reload"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run({.argv = argv});
}

/// What a flush can take, and the records. Links go on settling meanwhile.
Snapshot rules() { return snapshot_host().only("nft iptables file"); }

struct FlushedHost {
  TestHost host;
  OutsideHost outside{host};
  TestSandbox sandbox{"c1"};
  FlushedHost() { host.enable_forwarding(); }

  /// How the outside sees the container's address of either family.
  [[nodiscard]] bool is_masqueraded() const {
    return tcp_peer_seen({sandbox.net(), outside.net(), OutsideHost::kV4}) ==
               std::string(OutsideHost::kHostV4) &&
           tcp_peer_seen({sandbox.net(), outside.net(), OutsideHost::kV6}) ==
               std::string(OutsideHost::kHostV6);
  }
};

}  // namespace

TEST_CASE("cnitool reload: what a flush took comes back", "[scenario][reload]") {
  const FlushedHost used;
  const auto backend = GENERATE(as<std::string>{}, "nftables", "iptables");
  const Attachment one{.conf = with(kConf, "ipMasqBackend", backend), .netns = used.sandbox.path()};
  const Snapshot before = snapshot_host().without_hints();
  const cni::Json result = one.add();
  REQUIRE(records().size() == 1);
  const Snapshot attached = rules();

  tool("nft flush ruleset");
  CHECK(code_of(one.run("CHECK", result)) == 101);
  const Output output = reload();
  INFO(output.text());
  REQUIRE(output.ok());
  CHECK(output.out == "restored the rules of 1 of 1 plugins of 1 live attachments\n");
  CHECK(one.run("CHECK", result).ok());
  CHECK(used.is_masqueraded());
  CHECK(difference(attached, rules()) == "");
  REQUIRE(reload().ok());  // nothing is made twice
  CHECK(difference(attached, rules()) == "");

  one.del();
  CHECK(records().empty());
  REQUIRE(run_gc(one.conf, {}).ok());
  if (backend == "nftables") CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("cnitool reload: a routed link's masquerading comes back", "[scenario][reload]") {
  const FlushedHost used;
  const Attachment one{
      .conf = plugin_conf("ptp", R"("ipMasq":true,"ipam":{"type":"host-local",)"
                                 R"("ranges":[[{"subnet":"10.1.2.0/24"}],)"
                                 R"([{"subnet":"2001:db8:1::/64"}]],)"
                                 R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})"),
      .netns = used.sandbox.path(),
      .plugin = "ptp"};
  const cni::Json result = one.add();
  tool("nft flush ruleset");
  CHECK(code_of(one.run("CHECK", result)) == 101);
  const Output output = reload();
  INFO(output.text());
  REQUIRE(output.ok());
  CHECK(one.run("CHECK", result).ok());
  CHECK(used.is_masqueraded());
  one.del();
  CHECK(records().empty());
}

TEST_CASE("cnitool reload: only the networks asked for, and only the living",
          "[scenario][reload]") {
  const TestHost host;
  const TestSandbox alive("alive");
  TestSandbox dying("dying");
  const Attachment first{.conf = kConf, .netns = alive.path()};
  const Attachment second{
      .conf = bridge_conf(R"("bridge":"cni1","ipMasq":true,"ipam":{"type":"host-local",)"
                          R"("ranges":[[{"subnet":"10.9.0.0/24"}]]})",
                          "1.1.0", "net2"),
      .netns = alive.path(),
      .ifname = "eth1"};
  const Attachment gone{.conf = kConf, .netns = dying.path(), .id = "c2"};
  for (const Attachment* one : {&first, &second, &gone}) one->add();
  TestSandbox::destroy(std::move(dying));
  REQUIRE(eventually([] { return ports_of("cni0").size() == 1; }));

  tool("nft flush ruleset");
  const Output other = reload({"net2"});
  INFO(other.text());
  REQUIRE(other.ok());
  CHECK(other.out == "restored the rules of 1 of 1 plugins of 1 live attachments\n");
  CHECK(masqueraded() == std::vector<std::string>{"10.9.0.2"});
  const Output all = reload();
  INFO(all.text());
  REQUIRE(all.ok());
  CHECK_THAT(all.out, Catch::Contains("2 of 2 plugins of 2 live attachments (1 records of dead"));
  CHECK(masqueraded() == std::vector<std::string>{"10.1.2.2", "10.9.0.2", "2001:db8:1::2"});

  REQUIRE(run_gc(kConf, {"c1"}).ok());  // takes the record of c2 with it
  CHECK(records().size() == 2);
  const Snapshot masked = rules();
  CHECK(reload().out == "restored the rules of 2 of 2 plugins of 2 live attachments\n");
  CHECK(difference(masked, rules()) == "");
}

TEST_CASE("cnitool reload: one whose link is gone is left out, the others get theirs",
          "[scenario][reload]") {
  const TestHost host;
  const TestSandbox first("first");
  const TestSandbox second("second");
  const Attachment broken{.conf = kConf, .netns = first.path()};
  const Attachment whole{.conf = kConf, .netns = second.path(), .id = "c2"};
  const cni::Json result = broken.add();
  whole.add();
  // Taken off the network behind the plugin's back, while its namespace lives on.
  tool(concat("ip link del ", result.root()["interfaces"].items().at(1)["name"].string()));
  tool("nft flush ruleset");
  const Output output = reload();
  INFO(output.text());
  CHECK(output.ok());
  CHECK_THAT(output.err, Catch::Contains("container c1") && Catch::Contains("is gone"));
  CHECK_THAT(output.out, Catch::Contains("restored the rules of 1 of 2 plugins"));
  CHECK_THAT(output.out, Catch::Contains("1 records of dead ones left out"));
  CHECK(masqueraded() == std::vector<std::string>{"10.1.2.3", "2001:db8:1::3"});
}

TEST_CASE("cnitool reload: what has no rules is not recorded", "[scenario][reload]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment plain{.conf = bridge_conf(kRouted), .netns = sandbox.path()};
  plain.add();
  CHECK(records().empty());
  CHECK(reload().out == "restored the rules of 0 of 0 plugins of 0 live attachments\n");
  const Output direct = plain.run("RESTORE");
  CHECK(direct.ok());  // as for an attachment deleted meanwhile
}
