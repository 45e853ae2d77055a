// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Containers outlive the exchange of the plugins: attached by one suite, detached by the other.
#include "base/concat.h"
#include "support/catch.h"
#include "support/host.h"
#include "support/plugin.h"
#include "support/snapshot.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::Json;

namespace {

constexpr const char* kConfig = R"({
  "cniVersion": "1.0.0", "name": "net", "type": "bridge", "isDefaultGateway": true,
  "ipMasq": true, "ipam": {"type": "host-local",
  "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]]}})";

Output call(const std::string& bin_dir, const char* verb, const std::string& config,
            const TestSandbox& sandbox) {
  return run_plugin({.command = verb,
                     .plugin = Json::parse(config).root()["type"].string(),
                     .config = config,
                     .netns = sandbox.path(),
                     .bin_dir = bin_dir});
}

void require_ok(const Output& output) {
  INFO(output.text());
  REQUIRE(output.ok());
}

std::string after(const Output& add) { return with(kConfig, "prevResult", add.json()); }

void collect_everything(const TestSandbox& sandbox) {
  const std::string config =
      with(with(kConfig, "cniVersion", "1.1.0"), "cni.dev/valid-attachments", Json::array());
  require_ok(call(our_bin_dir(), "GC", config, sandbox));
}

}  // namespace

TEST_CASE("upgrade: ours CHECKs and DELetes what the reference attached", "[oracle][upgrade]") {
  require_reference();
  const TestHost host;
  const OutsideHost outside(host);
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  const Output added = call(reference_bin_dir(), "ADD", kConfig, sandbox);
  require_ok(added);
  require_ok(call(our_bin_dir(), "CHECK", after(added), sandbox));
  require_ok(call(our_bin_dir(), "DEL", after(added), sandbox));
  const Snapshot left = snapshot_host().only("link addr route nft iptables file");
  CHECK_FALSE(left.mentions("link veth"));
  CHECK_FALSE(left.mentions("container-1"));
  CHECK_FALSE(left.mentions("/networks/net/10.1.2.2"));
}

TEST_CASE("upgrade: both suites serve one bridge at the same time", "[oracle][upgrade]") {
  require_reference();
  const TestHost host;
  const OutsideHost outside(host);
  host.enable_forwarding();
  const TestSandbox a("a"), b("b");
  require_ok(call(reference_bin_dir(), "ADD", kConfig, a));
  PluginCall second{.command = "ADD",
                    .plugin = "bridge",
                    .config = kConfig,
                    .container_id = "container-2",
                    .netns = b.path()};
  require_ok(run_plugin(second));
  for (const auto& [own, other, far, host_address] :
       {std::tuple("10.1.2.2", "10.1.2.3", OutsideHost::kV4, OutsideHost::kHostV4),
        std::tuple("2001:db8::2", "2001:db8::3", OutsideHost::kV6, OutsideHost::kHostV6)}) {
    CHECK(tcp_peer_seen({a.net(), b.net(), other}) == std::string(own));
    CHECK(tcp_peer_seen({b.net(), a.net(), own}) == std::string(other));
    for (const TestSandbox* sandbox : {&a, &b}) {
      CHECK(tcp_peer_seen({sandbox->net(), outside.net(), far}) == std::string(host_address));
    }
  }
}

// The reference knows nothing of our masquerading: that is left for our GC.
TEST_CASE("rollback: the reference DELetes what ours attached", "[oracle][upgrade]") {
  require_reference();
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  const Output added = call(our_bin_dir(), "ADD", kConfig, sandbox);
  require_ok(added);
  require_ok(call(reference_bin_dir(), "CHECK", after(added), sandbox));
  // With the iptables of nf_tables the first DEL complains in the end about the absence of rules
  // that the reference would have made. A runtime tries again.
  const bool at_once = call(reference_bin_dir(), "DEL", after(added), sandbox).ok();
  if (!at_once) require_ok(call(reference_bin_dir(), "DEL", after(added), sandbox));
  const Snapshot left = snapshot_host().only("link file");
  CHECK_FALSE(left.mentions("link veth"));
  CHECK_FALSE(left.mentions("/networks/net/10.1.2.2"));
  collect_everything(sandbox);
  CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("upgrade: ptp links of the reference are CHECKed, DELeted and collected",
          "[oracle][upgrade]") {
  require_reference("ptp");
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const std::string config = with(kConfig, "type", "ptp");
  const Output added = call(reference_bin_dir(), "ADD", config, sandbox);
  require_ok(added);
  const std::string attached = with(config, "prevResult", added.json());
  SECTION("CHECK, then DEL") {
    require_ok(call(our_bin_dir(), "CHECK", attached, sandbox));
    require_ok(call(our_bin_dir(), "DEL", attached, sandbox));
  }
  SECTION("DEL without prevResult") { require_ok(call(our_bin_dir(), "DEL", config, sandbox)); }
  SECTION("ours beside it on one network") {
    const TestSandbox other("c2");
    PluginCall second{.command = "ADD",
                      .plugin = "ptp",
                      .config = config,
                      .container_id = "container-2",
                      .netns = other.path()};
    require_ok(run_plugin(second));
    CHECK(tcp_peer_seen({sandbox.net(), other.net(), "10.1.2.3"}) == std::string("10.1.2.2"));
    second.command = "DEL";
    require_ok(run_plugin(second));
    require_ok(call(our_bin_dir(), "DEL", attached, sandbox));
  }
  const Snapshot left = snapshot_host().only("link addr route iptables file");
  CHECK_FALSE(left.mentions("link veth"));
  CHECK_FALSE(left.mentions("container-1"));
  CHECK_FALSE(left.mentions("/networks/net/10.1.2.2"));
}

TEST_CASE("rollback: the reference CHECKs and DELetes our ptp links", "[oracle][upgrade]") {
  require_reference("ptp");
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const std::string config = with(with(kConfig, "type", "ptp"), "ipMasq", false);
  const Output added = call(our_bin_dir(), "ADD", config, sandbox);
  require_ok(added);
  const std::string attached = with(config, "prevResult", added.json());
  require_ok(call(reference_bin_dir(), "CHECK", attached, sandbox));
  require_ok(call(reference_bin_dir(), "DEL", attached, sandbox));
  const Snapshot left = snapshot_host().only("link addr route file");
  CHECK_FALSE(left.mentions("link veth"));
  CHECK_FALSE(left.mentions("/networks/net/10.1.2.2"));
}
