// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Many containers at once through a whole list, each with a published port.
#include <deque>
#include <set>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

constexpr unsigned short kFirstPort = 20000;

constexpr std::string_view kList = R"({"cniVersion": "1.1.0", "name": "crowd", "plugins": [
  {"type": "bridge", "bridge": "crowd0", "isDefaultGateway": true, "ipMasq": true, "timeoutSeconds": 280,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.60.0.0/16"}], [{"subnet": "fd60::/64"}]]}},
  {"type": "portmap", "timeoutSeconds": 280, "capabilities": {"portMappings": true}},
  {"type": "firewall", "timeoutSeconds": 280, "ingressPolicy": "same-bridge"}]})";

class Crowd {
 public:
  Crowd(const TestHost& host, int size) : dir_(concat(host.scratch(), "/net.d")) {
    cni::make_directories(dir_, 0755);
    cni::write_file_atomically(dir_ + "/crowd.conflist", kList, 0644);
    for (int i = 0; i < size; ++i) sandboxes_.emplace_back(concat("crowd-", i));
  }

  [[nodiscard]] std::vector<Output> all(const std::string& verb) const {
    std::vector<Command> commands;
    for (std::size_t i = 0; i < sandboxes_.size(); ++i) {
      Command command = command_of(
          CnitoolCall{.command = verb,
                      .network = "crowd",
                      .netns = sandboxes_[i].path(),
                      .conf_dir = dir_,
                      .capability_args = concat(R"({"portMappings":[{"hostPort":)", port_of(i),
                                                R"(,"containerPort":)", port_of(i), R"(}]})")});
      command.patience = std::chrono::seconds(300);
      commands.push_back(std::move(command));
    }
    return run_parallel(commands);
  }
  [[nodiscard]] Output gc() const {
    return run_cnitool({.command = "gc", .network = "crowd", .netns = "", .conf_dir = dir_});
  }
  [[nodiscard]] const TestNamespace& net(std::size_t i) const { return sandboxes_[i].net(); }
  [[nodiscard]] static unsigned short port_of(std::size_t i) {
    return static_cast<unsigned short>(kFirstPort + i);
  }

 private:
  std::string dir_;
  std::deque<TestSandbox> sandboxes_;
};

}  // namespace

TEST_CASE("crowd: 100 containers at once through bridge, portmap and firewall",
          "[scenario][parallel]") {
  const TestHost host;
  const OutsideHost outside(host);
  host.enable_forwarding();
  const Crowd crowd(host, 100);
  const Snapshot before = snapshot_host();

  std::set<std::string> addresses;
  for (const Output& output : crowd.all("add")) {
    INFO(output.text());
    REQUIRE(output.ok());
    const cni::Json result = output.json();
    for (const auto& ip : result.root()["ips"].items()) addresses.insert(ip["address"].string());
  }
  CHECK(addresses.size() == 200);
  for (const std::size_t i : {0U, 49U, 99U}) {
    INFO(i);
    const unsigned short port = Crowd::port_of(i);
    CHECK(tcp_peer_seen({outside.net(), crowd.net(i), OutsideHost::kHostV4, port}).has_value());
    CHECK(tcp_peer_seen({outside.net(), crowd.net(i), OutsideHost::kHostV6, port}).has_value());
  }
  for (const char* verb : {"check", "del"}) {
    for (const Output& output : crowd.all(verb)) {
      INFO(output.text());
      CHECK(output.ok());
    }
  }
  const Output collected = crowd.gc();
  INFO(collected.text());
  CHECK(collected.ok());
  CHECK(difference_in_the_end(before) == "");
}
