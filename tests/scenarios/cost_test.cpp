// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What a verb costs apart from time: processes started and netlink messages sent. Numbers may go
// down; whoever makes one go up says here why.
#include <sstream>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

struct Cost {
  int processes = 0, messages = 0, transactions = 0;
};

int occurrences(const std::string& text, std::string_view part) {
  int count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The verb under strace; it must succeed.
Cost cost_of(const TestHost& host, const Attachment& attachment, std::string_view verb) {
  const std::string log = concat(host.scratch(), "/cost");
  Command command = attachment.command(verb);
  const std::vector<std::string> prefix = {
      "strace", "-f", "-qq", "-v", "-e", "trace=execve,sendmsg,sendto", "-o", log};
  command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
  const Output output = run(command);
  INFO(output.text());
  REQUIRE(output.ok());
  Cost cost;
  std::istringstream lines(cni::read_file(log));
  for (std::string line; std::getline(lines, line);) {
    if (line.find("execve(") != std::string::npos) ++cost.processes;
    if (line.find("sendmsg(") == std::string::npos) continue;  // also of what was interrupted
    cost.messages += occurrences(line, "{nlmsg_len=");
    // A batch ends with a message of type 0x11, whose header says which subsystem it is for.
    cost.transactions += occurrences(line, "NFNL_MSG_BATCH_END");
  }
  return cost;
}

void check_cost(const TestHost& host, const Attachment& attachment, std::string_view verb,
                const Cost& most) {
  const Cost cost = cost_of(host, attachment, verb);
  INFO(attachment.plugin << " " << verb << ": " << cost.processes << " processes, " << cost.messages
                         << " netlink messages, " << cost.transactions << " transactions");
  CHECK(cost.processes <= most.processes);
  CHECK(cost.messages <= most.messages);
  CHECK(cost.transactions <= most.transactions);
  // A strace that shows no messages would pass everything.
  CHECK((cost.messages > 0 || most.messages == 0));
}

constexpr std::string_view kV4 =
    R"("isDefaultGateway":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}]]})";

struct CostHost {
  TestHost host;
  TestSandbox neighbour{"c0"}, sandbox{"c1"};
  CostHost() {
    if (!run({.argv = {"strace", "-o", "/dev/null", "true"}}).ok())
      skip("strace may not trace here");
    host.enable_forwarding();
  }
  /// ADD and DEL of a container beside another one: what is shared exists.
  void check(const std::string& plugin, std::string_view members, const Cost& add,
             const Cost& del) const {
    const std::string conf = plugin_conf(plugin, members);
    Attachment{.conf = conf, .netns = neighbour.path(), .id = "c0", .plugin = plugin}.add();
    const Attachment one{.conf = conf, .netns = sandbox.path(), .plugin = plugin};
    check_cost(host, one, "ADD", add);
    check_cost(host, one, "DEL", del);
  }
};

}  // namespace

TEST_CASE("cost: processes and netlink messages of bridge", "[scenario][cost]") {
  // ADD asks once whether the host's end carries packets: it returns when the container is reached.
  // DEL asks for what the reference may have left, too: its masquerading and its spoof check.
  const CostHost on;
  SECTION("IPv4") { on.check("bridge", kV4, {1, 14, 0}, {1, 15, 0}); }
  // ADD makes the owner's entry of the ledger, and makes sure that the table is awake and the chain
  // at its hook; DEL finds by the owner alone what was made, asks whether it was the last user, and
  // whether the first layout's chain is there.
  SECTION("masquerading") {
    on.check("bridge", concat(R"("ipMasq":true,)", kV4), {1, 20, 1}, {1, 18, 1});
  }
  SECTION("dual stack, masquerading") { on.check("bridge", kDualStack, {1, 24, 1}, {1, 19, 1}); }
  SECTION("layer 2") { on.check("bridge", "", {1, 9, 0}, {1, 14, 0}); }
}

TEST_CASE("cost: processes and netlink messages of ptp", "[scenario][cost]") {
  const CostHost on;
  on.check("ptp", concat(R"("ipMasq":true,)", kV4), {1, 18, 1}, {1, 16, 1});
}

TEST_CASE("cost: processes and netlink messages of loopback and host-local", "[scenario][cost]") {
  const CostHost on;
  on.check("loopback", "", {1, 3, 0}, {1, 2, 0});
  on.check("host-local", kV4, {1, 0, 0}, {1, 0, 0});
}
