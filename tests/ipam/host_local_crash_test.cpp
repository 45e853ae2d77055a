// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A verb that dies at any moment.

#include <functional>

#include "base/concat.h"
#include "ipam/fixture.h"
#include "ipam/traced.h"
#include "support/catch.h"

using cni::concat;
using cni::test::kill_at;
using cni::test::Network;

namespace fs = std::filesystem;

namespace {

const char* const kConf = R"("ranges":[[{"subnet":"10.1.0.0/28"}],[{"subnet":"fd00::/120"}]])";

/// Only whole leases of these owners, and nothing that does not belong there.
void require_whole(const Network& net) {
  for (const auto& [name, content] : net.leases()) {
    CAPTURE(name, content);
    REQUIRE((name.starts_with("10.1.0.") || name.starts_with("fd00::")));
    REQUIRE(content.ends_with("\r\neth0"));
    REQUIRE(content.size() > 6);
  }
}

std::size_t leases_of(const Network& net, const std::string& id) {
  std::size_t count = 0;
  for (const auto& [name, content] : net.leases()) count += content == concat(id, "\r\neth0");
  return count;
}

/// Kills the verb of "victim" everywhere, each time from the same state, and looks at what is left.
/// Without CNI_TEST_LONG in the environment at every third stop only.
void sweep(const std::string& verb, const std::function<void(const Network&)>& prepare,
           bool with_index) {
  const int stride = cni::test::takes_long() ? 1 : 3;
  int n = 0;
  for (bool killed = true; killed; n += stride) {
    CAPTURE(verb, n);
    const Network net(kConf);
    prepare(net);
    if (!with_index) fs::remove_all(net.data_dir() / ".cnipp");
    const auto before = net.leases();
    const std::string conf =
        verb == "GC"
            ? net.conf_with(R"(,"cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}])")
            : net.conf();
    killed = kill_at({.verb = verb, .container_id = "victim"}, conf, n);
    require_whole(net);
    REQUIRE(leases_of(net, "a") == (before.empty() ? 0U : 2U));
    // Whatever it had done: the runtime's DEL ends it, and the network works.
    REQUIRE(net.del("victim").ok());
    REQUIRE(leases_of(net, "victim") == 0);
    REQUIRE(net.add("next").ok());
    REQUIRE(net.check("next").ok());
    REQUIRE(net.del("next").ok());
    if (!before.empty()) REQUIRE(net.check("a").ok());
    REQUIRE(net.gc({"a/eth0"}).ok());
    REQUIRE(leases_of(net, "a") == net.leases().size());
  }
  INFO(verb << ": " << n << " stops");
  REQUIRE(n > 50);
}

}  // namespace

TEST_CASE("host-local crash: ADD into a new network dies anywhere", "[host-local]") {
  sweep(
      "ADD", [](const Network&) {}, true);
}

TEST_CASE("host-local crash: ADD dies anywhere", "[host-local]") {
  const bool with_index = GENERATE(true, false);
  sweep(
      "ADD", [](const Network& net) { REQUIRE(net.add("a").ok()); }, with_index);
}

TEST_CASE("host-local crash: DEL and GC die anywhere", "[host-local]") {
  const std::string verb = GENERATE("DEL", "GC");
  sweep(
      verb,
      [](const Network& net) {
        REQUIRE(net.add("a").ok());
        REQUIRE(net.add("victim").ok());
      },
      true);
}
