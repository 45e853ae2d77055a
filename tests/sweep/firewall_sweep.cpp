// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// firewall killed, or refused, at any of its system calls: a failed ADD leaves the host as it was,
// and after a death one DEL, or one GC, does. A neighbour on the bridge keeps what is shared.
#include "plugins/firewall_fixture.h"
#include "support/catch.h"
#include "sweep/points.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

struct Swept {
  TestHost host;
  std::optional<Firewalld> firewalld;
  std::optional<Pod> neighbour, pod;
  Snapshot before;

  explicit Swept(const std::string& backend) {
    std::vector<std::string> env;
    if (backend == "firewalld") {
      firewalld.emplace(host);
      env = {firewalld->variable()};
    } else {
      tool("iptables -P FORWARD DROP");
      tool("ip6tables -P FORWARD DROP");
    }
    const Network network{.firewall =
                              concat(R"("ingressPolicy":"isolated","backend":")", backend, "\"")};
    neighbour.emplace(network, "n", env);
    pod.emplace(network, "a", env);
    neighbour->admit();
    pod->admit();
    del();
    before = state();
  }
  [[nodiscard]] Snapshot state() const {
    Snapshot out = without_hints(snapshot_host()).only("nft iptables file");
    if (firewalld) out.lines.push_back(firewalld->sources());
    return out;
  }
  void del() const {
    const Output output = pod->firewall("DEL");
    INFO(output.text());
    CHECK(output.ok());
  }
  void check_clean() const {
    CHECK(difference(before, state()) == "");
    CHECK(neighbour->firewall("CHECK").ok());
  }
  [[nodiscard]] Command gc() const {
    Json valid = Json::array();
    valid.push(Json::object().set("containerID", "n").set("ifname", "eth0"));
    Attachment call = pod->attachment();
    call.conf = with(call.conf, "cni.dev/valid-attachments", std::move(valid));
    return call.command("GC");
  }
};

/// Cheap backends are sampled more densely.
std::size_t step_of(const std::string& backend) {
  return sweep_step(backend == "nftables" ? 5 : backend == "iptables" ? 17 : 23);
}

}  // namespace

TEST_CASE("firewall sweep: ADD killed at any system call, then one DEL or GC", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  const Swept swept(backend);
  const Command add = swept.pod->command("ADD");
  const auto points = trace(swept.host, add);
  swept.del();
  for (std::size_t i = 0; i < points.size(); i += step_of(backend)) {
    INFO(backend << ": " << points[i].call << " #" << points[i].occurrence);
    (void)run_with_injection(add, points[i], "signal=KILL");
    if (i % 2 == 0) {
      swept.del();
    } else {
      CHECK(run(swept.gc()).ok());
    }
    swept.check_clean();
  }
}

TEST_CASE("firewall sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  const Swept swept(backend);
  const Command del = swept.pod->command("DEL");
  swept.pod->admit();
  const auto points = trace(swept.host, del);
  for (std::size_t i = 0; i < points.size(); i += step_of(backend)) {
    INFO(backend << ": " << points[i].call << " #" << points[i].occurrence);
    swept.pod->admit();
    (void)run_with_injection(del, points[i], "signal=KILL");
    swept.del();
    swept.check_clean();
  }
}

TEST_CASE("firewall sweep: GC killed at any system call, then one GC", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  const Swept swept(backend);
  swept.pod->admit();
  const auto points = trace(swept.host, swept.gc());
  for (std::size_t i = 0; i < points.size(); i += step_of(backend)) {
    INFO(backend << ": " << points[i].call << " #" << points[i].occurrence);
    swept.pod->admit();
    (void)run_with_injection(swept.gc(), points[i], "signal=KILL");
    CHECK(run(swept.gc()).ok());
    swept.check_clean();
  }
}

TEST_CASE("firewall sweep: ADD with any failing system call leaves the host as it was", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  const Swept swept(backend);
  const Command add = swept.pod->command("ADD");
  const auto points = trace(swept.host, add);
  swept.del();
  int failed = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point& point = points[i];
    if (point.occurrence % static_cast<int>(backend == "nftables" ? 1 : sweep_step(4)) != 0) {
      continue;
    }
    const std::string_view calls =
        " openat write sendmsg sendto recvfrom recvmsg socket connect poll rename flock mkdir ";
    if (calls.find(concat(" ", point.call, " ")) == calls.npos) continue;
    INFO(backend << ": " << point.call << " #" << point.occurrence);
    const Output output = run_with_injection(add, point, "error=EIO");
    INFO(output.text());
    if (output.ok()) {
      swept.del();
    } else {
      ++failed;
    }
    swept.check_clean();
  }
  CHECK(failed > 3);
}
