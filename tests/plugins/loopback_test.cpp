// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

std::string loopback_conf(std::string_view version, std::string_view more = "") {
  return concat(R"({"cniVersion":")", version, R"(","name":"lo-net","type":"loopback")", more, "}");
}

bool is_up(const TestSandbox& sandbox) {
  const cni::Json link = link_of("lo", &sandbox.net());
  return link.root()["flags"].text().find("\"UP\"") != std::string::npos;
}

Attachment loopback(const TestSandbox& sandbox, std::string_view version = "1.1.0",
                    std::string_view more = "") {
  return {.conf = loopback_conf(version, more),
          .netns = sandbox.path(),
          .ifname = "lo",
          .plugin = "loopback"};
}

}  // namespace

TEST_CASE("loopback ADD: sets lo up, CHECK sees it, DEL takes it down", "[loopback][each-kernel]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  const Attachment attachment = loopback(sandbox);
  CHECK_FALSE(is_up(sandbox));
  CHECK(code_of(attachment.run("CHECK", cni::Json::parse("{}"))) == 101);
  const cni::Json result = attachment.add();
  CHECK(is_up(sandbox));
  CHECK(attachment.run("CHECK", result).ok());
  tool("ip link set lo down", &sandbox.net());
  CHECK(code_of(attachment.run("CHECK", result)) == 101);
  tool("ip link set lo up", &sandbox.net());
  attachment.del();
  CHECK_FALSE(is_up(sandbox));
  attachment.del();
  CHECK(attachment.run("GC").ok());
  CHECK(attachment.run("STATUS").ok());
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("loopback ADD: the result in every version", "[loopback]") {
  const TestHost host;
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  const TestSandbox sandbox("c1");
  const cni::Json result = loopback(sandbox, version).add();
  INFO(result.dump(2));
  const auto root = result.root();
  CHECK(root["cniVersion"].string() == version);
  if (version < "0.3.0") {
    CHECK(root["ip4"]["ip"].string() == "127.0.0.1/8");
    CHECK(root["ip6"]["ip"].string() == "::1/128");
    CHECK_FALSE(root["interfaces"].written());
    return;
  }
  const auto interface = root["interfaces"].items().at(0);
  CHECK(interface["name"].string() == "lo");
  CHECK(interface["mac"].string() == "00:00:00:00:00:00");
  CHECK(interface["sandbox"].string() == sandbox.path());
  CHECK(root["ips"].items().at(0)["address"].string() == "127.0.0.1/8");
  CHECK(root["ips"].items().at(1)["address"].string() == "::1/128");
  CHECK(root["ips"].items().at(0)["interface"].int_or(-1, 0, 9) == 0);
  CHECK(root["ips"].items().at(0)["version"].written() == (version < "1.0.0"));
  CHECK(root["dns"].written() == (version < "1.0.0"));
}

TEST_CASE("loopback ADD: a prevResult is passed on", "[loopback]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const cni::Json result =
      loopback(sandbox, "1.0.0",
               R"(,"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],)"
               R"("ips":[{"address":"10.1.2.3/24","interface":0}]})")
          .add();
  CHECK(result.root()["interfaces"].items().at(0)["name"].string() == "eth0");
  CHECK(result.root()["ips"].items().at(0)["address"].string() == "10.1.2.3/24");
  CHECK(is_up(sandbox));
}

TEST_CASE("loopback ADD: a foreign address on lo is refused, and lo is as before", "[loopback]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  tool("ip addr add 10.0.0.1/32 dev lo", &sandbox.net());
  const Output output = loopback(sandbox).run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains("10.0.0.1"));
  CHECK_FALSE(is_up(sandbox));
}

TEST_CASE("loopback DEL: whatever has become of CNI_NETNS", "[loopback]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment = loopback(sandbox);
  for (const char* const netns : {"", "/run/netns/none", "/dev/null", "/run"}) {
    INFO(netns);
    attachment.netns = netns;
    attachment.del();
  }
  attachment.netns = "/proc/self/ns/net";
  attachment.del();
  CHECK(link_of("lo").root()["flags"].text().find("\"UP\"") != std::string::npos);
}

TEST_CASE("loopback ADD: CNI_IFNAME is not looked at, the host's own namespace is refused",
          "[loopback]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment = loopback(sandbox);
  attachment.ifname = "eth0";
  CHECK(attachment.add().root()["interfaces"].items().at(0)["name"].string() == "lo");
  attachment.netns = "/proc/self/ns/net";
  CHECK(code_of(attachment.run("ADD")) == 8);
}
