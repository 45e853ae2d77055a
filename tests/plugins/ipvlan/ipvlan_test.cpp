// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What ipvlan has beyond the contract of every interface plugin: modes, flags, chained use.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kV4 =
    R"("ipam":{"type":"static","addresses":[{"address":"192.0.2.10/24"}]})";

std::string ipvlan_conf(std::string_view members, std::string_view version = "1.1.0") {
  return plugin_conf("ipvlan", members, version);
}

/// A host whose default route leads over "uplink" to a machine outside.
struct Uplinked {
  TestHost host;
  OutsideHost outside{host};
  TestSandbox sandbox{"c1"};

  Uplinked() {
    if (!run({.argv = {"ip", "link", "add", "link", "uplink", "name", "probe", "type", "ipvlan"}})
             .ok()) {
      skip("this kernel has no ipvlan");
    }
    tool("ip link del probe");
  }
  [[nodiscard]] Attachment attachment(const std::string& conf) const {
    return {.conf = conf, .netns = sandbox.path(), .plugin = "ipvlan"};
  }
  [[nodiscard]] Output add(std::string_view members) const {
    return attachment(ipvlan_conf(members)).run("ADD");
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] std::string data(std::string_view key) const {
    return link_of("eth0", inside()).root()["linkinfo"]["info_data"][std::string(key)].string();
  }
};

}  // namespace

TEST_CASE("ipvlan ADD: a neighbour of the outside, over the default route's link",
          "[ipvlan][add]") {
  const Uplinked on;
  const cni::Json result = on.attachment(ipvlan_conf(kV4)).add();
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["linkinfo"]["info_kind"].string() == "ipvlan");
  CHECK(on.data("mode") == "l2");
  CHECK(link.root()["address"].string() == link_of("uplink").root()["address"].string());
  CHECK(addresses_of("eth0", on.inside()) == std::vector<std::string>{"192.0.2.10/24"});
  CHECK(tcp_peer_seen({on.sandbox.net(), on.outside.net(), OutsideHost::kV4}) == "192.0.2.10");
  const auto interfaces = result.root()["interfaces"].items();
  REQUIRE(interfaces.size() == 1);
  CHECK(interfaces[0]["name"].string() == "eth0");
  CHECK(interfaces[0]["mtu"].text() == link.root()["mtu"].text());
}

TEST_CASE("ipvlan ADD: every mode and flag", "[ipvlan][add]") {
  const Uplinked on;
  const std::string mode = GENERATE("l2", "l3", "l3s"),
                    flag = GENERATE("bridge", "private", "vepa");
  const Output output = on.add(concat(R"("mode":")", mode, R"(","flag":")", flag, R"(",)", kV4));
  INFO(output.text());
  REQUIRE(output.ok());
  CHECK(on.data("mode") == mode);
  CHECK_THAT(tool("ip -d link show eth0", on.inside()), contains(concat("mode ", mode, " ", flag)));
}

TEST_CASE("ipvlan ADD: what cannot be is refused, and nothing is left", "[ipvlan][add]") {
  const Uplinked on;
  const Snapshot before = snapshot_host();
  const auto& [members, named] = GENERATE(table<std::string, std::string>({
      {R"("mode":"l4")", "mode: "},
      {R"("flag":"hairpin")", "flag: "},
      {R"("mtu":1501)", "mtu: "},
      {R"("mtu":-1)", "mtu: "},
      {R"("master":"uplink9")", "master: "},
  }));
  const Output output = on.add(concat(members, ",", kV4));
  INFO(members);
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains(named));
  CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("ipvlan ADD: the master is busy with macvlans", "[ipvlan][add]") {
  const Uplinked on;
  tool("ip link add link uplink name m0 type macvlan mode bridge");
  const Output output = on.add(concat(R"("master":"uplink",)", kV4));
  CHECK_FALSE(output.ok());
  CHECK_THAT(message_of(output), contains("uplink"));
  CHECK_THAT(message_of(output), contains("macvlan"));
}

TEST_CASE("ipvlan ADD: chained, the interface of the result is the master, its addresses stay",
          "[ipvlan][add]") {
  const Uplinked on;
  const cni::Json previous = cni::Json::parse(
      R"({"cniVersion":"1.1.0","interfaces":[{"name":"uplink"}],)"
      R"("ips":[{"address":"192.0.2.11/24","interface":0}],"dns":{"nameservers":["192.0.2.53"]}})");
  const Attachment attachment = on.attachment(with(ipvlan_conf(""), "prevResult", previous));
  const cni::Json result = attachment.add();
  CHECK(addresses_of("eth0", on.inside()) == std::vector<std::string>{"192.0.2.11/24"});
  CHECK(result.root()["dns"]["nameservers"].items().size() == 1);
  CHECK(attachment.run("CHECK", result).ok());
  REQUIRE(attachment.run("DEL", result).ok());
  CHECK_FALSE(has_link("eth0", on.inside()));
}

TEST_CASE("ipvlan ADD: without addresses the link is there and up", "[ipvlan][add]") {
  const Uplinked on;
  const Attachment attachment = on.attachment(ipvlan_conf(R"("master":"uplink")"));
  const cni::Json result = attachment.add();
  CHECK(result.root()["ips"].items().empty());
  CHECK(attachment.run("CHECK", result).ok());
}

TEST_CASE("ipvlan CHECK: notices mode, flag and MTU, the master named or not", "[ipvlan][check]") {
  const Uplinked on;
  const std::string master = GENERATE("", R"("master":"uplink",)");
  const Attachment attachment =
      on.attachment(ipvlan_conf(concat(master, R"("mtu":1400,"mode":"l3",)", kV4)));
  const cni::Json result = attachment.add();
  REQUIRE(attachment.run("CHECK", result).ok());
  const auto noticed = [&](const std::string& change, const std::string& back,
                           const std::string& named) {
    require_noticed(attachment, result, {change, back, named, on.inside()});
  };
  noticed("ip link set eth0 type ipvlan mode l2", "ip link set eth0 type ipvlan mode l3", "mode");
  noticed("ip link set eth0 type ipvlan mode l3 private",
          "ip link set eth0 type ipvlan mode l3 bridge", "flag");
  noticed("ip link set eth0 mtu 1399", "ip link set eth0 mtu 1400", "eth0");
  noticed("ip link set eth0 down", "", "eth0");
}
