// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// firewall killed, or refused, at any of its system calls: a failed ADD leaves the host as it was,
// and after a death one DEL, or one GC, does. A neighbour on the bridge keeps what is shared.
#include "base/concat.h"
#include "plugins/firewall_fixture.h"
#include "support/catch.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

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
    CHECK(pod->firewall("DEL").ok());
    before = state();
  }
  [[nodiscard]] Snapshot state() const {
    Snapshot out = snapshot_host().without_hints().only("nft iptables file");
    if (firewalld) out.lines.push_back(firewalld->sources());
    return out;
  }
  [[nodiscard]] std::string leftovers() const {
    return difference(before, state()) + failure("neighbour's CHECK", neighbour->firewall("CHECK"));
  }
  /// One DEL or GC, and then nothing is left.
  [[nodiscard]] std::string clean_up(const std::string& verb) const {
    const std::string problem = failure(verb, caller(verb).run(verb));
    return problem + leftovers();
  }
  [[nodiscard]] Attachment caller(const std::string& verb) const {
    return verb == "GC" ? pod->attachment().collecting({"n"}) : pod->attachment();
  }
  [[nodiscard]] Victim victim(const std::string& verb) const { return {host, caller(verb), verb}; }
};

/// Cheap backends are sampled more densely.
std::size_t step_of(const std::string& backend) {
  return backend == "nftables" ? 5 : backend == "iptables" ? 17 : 23;
}

}  // namespace

TEST_CASE("firewall sweep: ADD killed at any system call, then one DEL or GC", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  INFO(backend);
  const Swept swept(backend);
  bool collect = false;
  const Around around{.clean_up = [&](const Output&) {
    collect = !collect;
    return swept.clean_up(collect ? "GC" : "DEL");
  }};
  kill_at_calls(swept.victim("ADD"), around, step_of(backend));
}

TEST_CASE("firewall sweep: DEL or GC killed at any system call, then the same", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  const std::string verb = GENERATE("DEL", "GC");
  INFO(backend);
  const Swept swept(backend);
  const Around around{.prepare = [&] { swept.pod->admit(); },
                      .clean_up = [&](const Output&) { return swept.clean_up(verb); }};
  kill_at_calls(swept.victim(verb), around, step_of(backend));
}

TEST_CASE("firewall sweep: ADD with any failing system call leaves the host as it was", "[sweep]") {
  const std::string backend = GENERATE("nftables", "iptables", "firewalld");
  INFO(backend);
  const Swept swept(backend);
  const Around around{.clean_up = [&](const Output& output) {
    return output.ok() ? swept.clean_up("DEL") : swept.leftovers();
  }};
  int failed = 0;
  for (const char* const call : {"openat", "write", "sendmsg", "sendto", "recvfrom", "recvmsg",
                                 "socket", "connect", "poll", "rename", "flock", "mkdir"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, backend == "nftables" ? 1 : 4);
  }
  CHECK(failed > 3);
}
