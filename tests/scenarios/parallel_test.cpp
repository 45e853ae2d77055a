// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <deque>
#include <set>

#include "base/concat.h"
#include "support/catch.h"
#include "support/host.h"
#include "support/plugin.h"
#include "support/snapshot.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::Json;

namespace {

constexpr int kContainers = 50;

constexpr const char* kConfig = R"({
  "cniVersion": "1.1.0", "name": "crowd", "type": "bridge", "bridge": "crowd0",
  "isDefaultGateway": true, "ipMasq": true,
  "ipam": {"type": "host-local",
           "ranges": [[{"subnet": "10.50.0.0/24"}], [{"subnet": "fd50::/64"}]]}})";

std::vector<Command> commands(const char* verb, const std::deque<TestSandbox>& sandboxes) {
  std::vector<Command> result;
  for (const auto& sandbox : sandboxes) {
    const std::string id = sandbox.path().substr(sandbox.path().rfind('/') + 1);
    result.push_back(command_of(PluginCall{.command = verb,
                                           .plugin = "bridge",
                                           .config = kConfig,
                                           .container_id = id,
                                           .netns = sandbox.path()}));
  }
  return result;
}

std::size_t ports_of(const char* bridge) {
  return tool_json(concat("ip -j link show master ", bridge)).root().items().size();
}

}  // namespace

TEST_CASE("parallel: 50 ADDs onto a bridge that does not exist yet, then 50 DELs",
          "[scenario][parallel]") {
  const TestHost host;
  host.enable_forwarding();
  std::deque<TestSandbox> sandboxes;
  for (int i = 0; i < kContainers; ++i) sandboxes.emplace_back(concat("crowd-", i));
  const Snapshot before = snapshot_host();

  std::set<std::string> addresses;
  std::string last;
  for (const Output& output : run_parallel(commands("ADD", sandboxes))) {
    INFO(output.text());
    REQUIRE(output.ok());
    const Json result = output.json();
    for (const auto& ip : result.root()["ips"].items()) {
      last = ip["address"].string();
      addresses.insert(last);
    }
  }
  CHECK(addresses.size() == 2U * kContainers);
  CHECK(ports_of("crowd0") == kContainers);
  const Json bridge = tool_json("ip -j addr show crowd0");
  int gateways = 0;
  for (const auto& address : bridge.root().items().at(0)["addr_info"].items()) {
    if (address["scope"].string() == "global") ++gateways;
  }
  CHECK(gateways == 2);
  CHECK(can_ping(sandboxes.front().net(), last.substr(0, last.find('/'))));

  for (const Output& output : run_parallel(commands("DEL", sandboxes))) {
    INFO(output.text());
    CHECK(output.ok());
  }
  CHECK(ports_of("crowd0") == 0);
  const Output collected =
      run_plugin({.command = "GC",
                  .plugin = "bridge",
                  .config = with(kConfig, "cni.dev/valid-attachments", Json::array())});
  INFO(collected.text());
  CHECK(collected.ok());
  CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("parallel: ADDs and DELs at the same time disturb only themselves",
          "[scenario][parallel]") {
  constexpr std::size_t kHalf = 15;
  const TestHost host;
  std::deque<TestSandbox> staying, leaving;
  for (std::size_t i = 0; i < kHalf; ++i) {
    staying.emplace_back(concat("staying-", i));
    leaving.emplace_back(concat("leaving-", i));
  }
  for (const Output& output : run_parallel(commands("ADD", leaving))) REQUIRE(output.ok());

  auto both = commands("DEL", leaving);
  for (auto& command : commands("ADD", staying)) both.push_back(std::move(command));
  for (const Output& output : run_parallel(both)) {
    INFO(output.text());
    CHECK(output.ok());
  }
  CHECK(ports_of("crowd0") == kHalf);
  for (const auto& sandbox : staying) CHECK(can_ping(sandbox.net(), "10.50.0.1"));
  for (const Output& output : run_parallel(commands("DEL", staying))) CHECK(output.ok());
}
