// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Many calls at the same time. CNIPP_SWEEP=full takes 100 containers, as a node that starts does.
#include <atomic>
#include <deque>
#include <thread>

#include "base/concat.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

/// Runs them all at once; every one must succeed.
std::vector<Output> run_all(const std::deque<Attachment>& attachments, std::string_view verb) {
  std::vector<Command> commands;
  for (const Attachment& attachment : attachments) commands.push_back(attachment.command(verb));
  std::vector<Output> outputs = run_parallel(commands);
  for (const Output& output : outputs) {
    INFO(output.text());
    REQUIRE(output.ok());
  }
  return outputs;
}

}  // namespace

TEST_CASE("portmap: bridge and portmap of many containers at once", "[portmap][parallel]") {
  const int count = sweep_is_full() ? 100 : 30;
  const PortHost host;
  const Snapshot before = snapshot_host().only("link nft");
  std::deque<TestSandbox> sandboxes;
  std::deque<Attachment> bridges, portmaps;
  const std::string conf = bridge_conf(kDualStack);
  for (int i = 0; i < count; ++i) {
    sandboxes.emplace_back(concat("c", i));
    bridges.push_back({.conf = conf, .netns = sandboxes.back().path(), .id = concat("c", i)});
  }
  const std::vector<Output> results = run_all(bridges, "ADD");
  for (std::size_t i = 0; i < bridges.size(); ++i) {
    const int port = 1000 + static_cast<int>(i);
    Attachment one = bridges[i];
    one.plugin = "portmap";
    one.conf = with(portmap_conf(mapping(port, 80) + "," + mapping(port, 53, "udp")), "prevResult",
                    results[i].json());
    portmaps.push_back(std::move(one));
  }
  run_all(portmaps, "ADD");  // onto a host without our chains
  CHECK(elements_of("hostports4").size() == 2 * bridges.size());
  CHECK(elements_of("hostports6").size() == 2 * bridges.size());
  run_all(portmaps, "CHECK");
  const std::size_t last = bridges.size() - 1;
  CHECK(tcp_peer_seen({host.outside.net(), sandboxes[last].net(), OutsideHost::kHostV4,
                       static_cast<unsigned short>(1000 + last), kTrafficPatience, 80}) ==
        OutsideHost::kV4);
  run_all(portmaps, "DEL");
  CHECK(count_port_elements() == 0);
  run_all(bridges, "DEL");
  for (Attachment any : {portmaps.front(), bridges.front()}) {
    any.conf = with(any.conf, "cni.dev/valid-attachments", cni::Json::array());
    CHECK(any.run("GC").ok());
  }
  CHECK(difference(before, snapshot_host().only("link nft")) == "");
}

TEST_CASE("portmap: of two that want one port at once, one gets it", "[portmap][parallel]") {
  const PortHost host;
  const Container one("one");
  const Container two("two");
  for (int round = 0; round < 10; ++round) {
    const std::string conf = portmap_conf(mapping(8080, 80) + "," + mapping(8081, 81));
    const Attachment a = one.portmap(conf);
    const Attachment b = two.portmap(conf);
    const auto outputs = run_parallel({a.command("ADD"), b.command("ADD")});
    CHECK(outputs[0].ok() != outputs[1].ok());
    CHECK(code_of(outputs[outputs[0].ok() ? 1 : 0]) == 102);
    const auto targets = elements_of("hostport-targets4");
    CHECK(targets == std::vector<std::string>{outputs[0].ok() ? one.v4() : two.v4()});
    a.del();
    b.del();
  }
}

TEST_CASE("portmap: a slow one gets its turn among many fast ones", "[portmap][parallel]") {
  const PortHost host;
  const Container slow("slow"), fast("fast"), other("other");
  Command victim = slow.publish(mapping(8080, 80)).command("DEL");
  victim.argv.insert(victim.argv.begin(),
                     {"strace", "-qqo", "/dev/null", "-e", "inject=sendmsg:delay_enter=30000"});
  std::atomic<bool> over = false;
  const auto come_and_go = [&](const Attachment& attachment) {
    int changes = 0;
    for (; !over; changes += 2) {
      for (const char* verb : {"ADD", "DEL"}) {
        if (!attachment.run(verb).ok()) return -changes;
      }
    }
    return changes;
  };
  int fast_changes = 0, other_changes = 0;
  std::thread one(
      [&] { fast_changes = come_and_go(fast.portmap(portmap_conf(mapping(1001, 80)))); });
  std::thread two(
      [&] { other_changes = come_and_go(other.portmap(portmap_conf(mapping(1002, 80)))); });
  const Output output = run(victim);
  over = true;
  one.join();
  two.join();
  INFO(output.text());
  CHECK(output.ok());
  CHECK(fast_changes > 0);
  CHECK(other_changes > 0);
  CHECK(count_port_elements() == 0);
}
