// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Gateways as IPAM plugins give them: none, far away, impossible.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

struct Fixed {
  TestHost host;
  TestSandbox sandbox{"c1"};

  [[nodiscard]] Attachment attachment(std::string_view members, std::string_view ips,
                                      std::string_view routes = "") const {
    Attachment out{.conf = bridge_conf(concat(members, R"("ipam":{"type":"fixed"})")),
                   .netns = sandbox.path()};
    out.plugin_path = install_fixed_ipam(
        host, concat(R"({"cniVersion":"1.1.0","ips":[)", ips, R"(],"routes":[)", routes, "]}"));
    return out;
  }
};

}  // namespace

TEST_CASE("bridge ADD: gateway 0.0.0.0 means none", "[bridge][gateway]") {
  const Fixed on;
  SECTION("the bridge is the gateway") {
    const Attachment attachment =
        on.attachment(R"("isGateway":true,)", R"({"address":"10.1.2.3/24","gateway":"0.0.0.0"},)"
                                              R"({"address":"2001:db8:1::3/64","gateway":"::"})");
    const cni::Json result = attachment.add();
    CHECK(addresses_of("cni0") == std::vector<std::string>{"10.1.2.1/24", "2001:db8:1::1/64"});
    CHECK(attachment.run("CHECK", result).ok());
  }
  SECTION("nobody is") {
    const Attachment attachment =
        on.attachment("", R"({"address":"10.1.2.3/24","gateway":"0.0.0.0"})",
                      R"({"dst":"10.7.0.0/16","gw":"0.0.0.0"},{"dst":"0.0.0.0/0"})");
    const cni::Json result = attachment.add();
    CHECK_FALSE(result.root()["ips"].items().at(0)["gateway"].written());
    CHECK_THAT(tool("ip route", &on.sandbox.net()), contains("10.7.0.0/16 dev eth0 scope link"));
    const Output output = attachment.run("CHECK", result);
    INFO(output.text());
    CHECK(output.ok());
  }
}

TEST_CASE("bridge ADD: a gateway outside the subnet is on the link", "[bridge][gateway]") {
  const Fixed on;
  const Attachment attachment =
      on.attachment("",
                    R"({"address":"10.1.2.3/24","gateway":"10.9.9.1"},)"
                    R"({"address":"2001:db8:1::3/64","gateway":"2001:db8:9::1"})",
                    R"({"dst":"0.0.0.0/0"},{"dst":"::/0"},{"dst":"10.7.0.0/16","gw":"10.1.2.7"})");
  const cni::Json result = attachment.add();
  const std::string v4 = tool("ip route", &on.sandbox.net());
  CHECK_THAT(v4, contains("default via 10.9.9.1 dev eth0 onlink"));
  CHECK_THAT(v4, contains("10.7.0.0/16 via 10.1.2.7 dev eth0 \n"));
  CHECK_THAT(tool("ip -6 route", &on.sandbox.net()),
             contains("default via 2001:db8:9::1 dev eth0"));
  const Output output = attachment.run("CHECK", result);
  INFO(output.text());
  CHECK(output.ok());
}

TEST_CASE("bridge ADD: addresses and gateways that cannot be", "[bridge][gateway]") {
  const Fixed on;
  const Snapshot before = snapshot_host();
  for (const auto& [ips, named] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"address":"10.1.2.1/24"})", "10.1.2.1/24"},  // the gateway that is computed
           {R"({"address":"10.1.2.5/24","gateway":"10.1.2.5"})", "itself"},
           {R"({"address":"10.1.2.5/24","gateway":"2001:db8::1"})", "family"},
           {R"({"address":"10.1.2.5/24","gateway":"10.1.2.0"})", "10.1.2.0"},
           {R"({"address":"10.1.2.5/24","gateway":"224.0.0.1"})", "224.0.0.1"},
           {R"({"address":"127.0.0.5/8"})", "loopback"},
           {R"({"address":"224.0.0.5/24"})", "multicast"},
           {R"({"address":"ff02::5/64"})", "multicast"}}) {
    INFO(ips);
    const Output output = on.attachment(R"("isGateway":true,)", ips).run("ADD");
    CHECK(code_of(output) == 103);
    CHECK_THAT(message_of(output), contains(named));
    CHECK(difference_in_the_end(before) == "");
  }
}
