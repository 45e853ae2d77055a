// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Many containers at once, while somebody else changes links all the time.
#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr int kContainers = 200;
constexpr std::size_t kAtOnce = 16;  // processes running; more would only wait for the processors

int rounds() { return sweep_is_full() ? 20 : 3; }

/// All commands, kAtOnce of them at any time.
std::vector<Output> run_crowd(const std::vector<Command>& commands) {
  std::vector<Output> outputs(commands.size());
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < kAtOnce; ++i) {
    workers.emplace_back([&] {
      for (std::size_t mine; (mine = next++) < commands.size();)
        outputs[mine] = run(commands[mine]);
    });
  }
  for (std::thread& worker : workers) worker.join();
  return outputs;
}

/// A process that makes, changes and removes unrelated links until it is destroyed.
Process flap_links() {
  return Process::start(
      {.argv = {"sh", "-c",
                "while :; do ip link add flap0 type veth peer name flap1; ip link set flap0 up;"
                " ip addr add 172.31.0.1/24 dev flap0; ip link del flap0; done"},
       .patience = std::chrono::hours(1)});
}

}  // namespace

TEST_CASE("bridge in parallel: 200 containers come and go while links flap", "[bridge][parallel]") {
  const TestHost host;
  host.enable_forwarding();
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  std::vector<TestSandbox> sandboxes;
  std::vector<Attachment> attachments;
  const std::string conf = bridge_conf(
      R"("isDefaultGateway":true,"ipMasq":true,"ipam":{"type":"host-local","subnet":"10.1.0.0/16"})");
  for (int i = 0; i < kContainers; ++i) {
    sandboxes.emplace_back(concat("c", i));
    attachments.push_back(
        {.conf = conf, .netns = sandboxes.back().path(), .id = concat("container-", i)});
  }
  attachments[0].add();
  attachments[0].del();
  REQUIRE(run_gc(conf, {}).ok());
  const Snapshot before = snapshot_host().without_hints();

  const auto all = [&](std::string_view verb) {
    std::vector<Command> commands;
    for (const Attachment& attachment : attachments) commands.push_back(attachment.command(verb));
    return run_crowd(commands);
  };
  for (int round = 0; round < rounds(); ++round) {
    INFO("round " << round);
    {
      const Process flapping = flap_links();
      std::set<std::string> addresses, macs;
      std::string failures;
      for (const Output& output : all("ADD")) {
        if (!output.ok()) {
          failures += output.text();
          continue;
        }
        const cni::Json result = output.json();
        addresses.insert(result.root()["ips"].items().at(0)["address"].string());
        macs.insert(result.root()["interfaces"].items().at(0)["mac"].string());
      }
      CHECK(failures == "");
      CHECK(addresses.size() == std::size_t{kContainers});
      CHECK(macs == std::set<std::string>{link_of("cni0").root()["address"].string()});
      CHECK(ports_of("cni0").size() == std::size_t{kContainers});
      CHECK(masqueraded().size() == std::size_t{kContainers});
      failures.clear();
      for (const Output& output : all("DEL")) {
        if (!output.ok()) failures += output.text();
      }
      CHECK(failures == "");
    }
    // Its last command may still be at work.
    REQUIRE(eventually([] { return processes_here().empty(); }));
    (void)run({.argv = {"ip", "link", "del", "flap0"}});
    REQUIRE(run_gc(conf, {}).ok());
    CHECK(difference(before, snapshot_host().without_hints()) == "");
  }
}

TEST_CASE("bridge in parallel: first ADDs agree on one bridge and one MAC", "[bridge][parallel]") {
  const TestHost host;
  const TestSandbox a("a"), b("b"), c("c");
  const std::string conf = bridge_conf(kDualStack);
  for (int round = 0; round < 10; ++round) {
    std::vector<Attachment> attachments;
    for (const TestSandbox* const sandbox : {&a, &b, &c}) {
      attachments.push_back(
          {.conf = conf, .netns = sandbox->path(), .id = concat("c", attachments.size())});
    }
    std::vector<Command> commands;
    for (const Attachment& attachment : attachments) commands.push_back(attachment.command("ADD"));
    std::set<std::string> macs;
    const auto outputs = run_parallel(commands);
    for (const Output& output : outputs) {
      INFO(output.text());
      REQUIRE(output.ok());
      macs.insert(output.json().root()["interfaces"].items().at(0)["mac"].string());
    }
    CHECK(macs == std::set<std::string>{link_of("cni0").root()["address"].string()});
    for (std::size_t i = 0; i < attachments.size(); ++i) {
      CHECK(attachments[i].run("CHECK", outputs[i].json()).ok());
      attachments[i].del();
    }
    REQUIRE(run_gc(conf, {}).ok());
    REQUIRE_FALSE(has_link("cni0"));
  }
}

TEST_CASE("bridge in parallel: ADD and GC of an otherwise empty network", "[bridge][parallel]") {
  const TestHost host;
  const TestSandbox a("a");
  const Attachment attachment{.conf = bridge_conf(kDualStack), .netns = a.path()};
  for (int round = 0; round < 10; ++round) {
    // The GC knows of the attachment, but of no other reason to keep the bridge.
    const Attachment gc{.conf = with(bridge_conf(kRouted, "1.1.0", "other"),
                                     "cni.dev/valid-attachments", cni::Json::array()),
                        .netns = ""};
    const auto outputs = run_parallel({attachment.command("ADD"), gc.command("GC")});
    INFO(outputs[0].text());
    CHECK(outputs[0].ok());
    CHECK(outputs[1].ok());
    const Output check = attachment.run("CHECK", outputs[0].json());
    INFO(check.text());
    CHECK(check.ok());
    attachment.del();
  }
}
