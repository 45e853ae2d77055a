// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A verb that dies at any moment, and disks that forget what was not synced.

#include <cstdlib>
#include <functional>
#include <set>

#include "base/concat.h"
#include "ipam/fixture.h"
#include "ipam/traced.h"
#include "support/catch.h"

using cni::concat;
using cni::test::kill_at;
using cni::test::Network;
using cni::test::our_plugin;
using cni::test::read_text;
using cni::test::run;

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
  const int stride = std::getenv("CNI_TEST_LONG") != nullptr ? 1 : 3;
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
    killed = kill_at({.binary = our_plugin("host-local"), .verb = verb, .container_id = "victim"},
                     conf, n);
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

TEST_CASE("host-local power cut: any mix of old, new and lost files", "[host-local]") {
  // What an ADD leaves unsynced: each file may be as before, as after, empty, or zeros.
  const Network before(R"("subnet":"10.1.0.0/29")");
  for (const auto* id : {"a", "b"}) REQUIRE(before.add(id).ok());
  const cni::test::TempDir after;
  fs::copy(before.data_dir(), after.path(), fs::copy_options::recursive);
  const std::string binary = our_plugin("host-local");
  const auto conf_at = [](const fs::path& dir) {
    return concat(
        R"({"cniVersion":"1.1.0","name":"net1","ipam":{"subnet":"10.1.0.0/29","dataDir":")",
        dir.string(), "\"}}");
  };
  REQUIRE(run({.binary = binary, .verb = "ADD", .container_id = "c"}, conf_at(after.path())).ok());

  const std::vector<std::string> names = {"net1/10.1.0.4", "net1/last_reserved_ip.0",
                                          ".cnipp/net1.index"};
  for (int image = 0; image < 5 * 5 * 5; ++image) {
    CAPTURE(image);
    const cni::test::TempDir disk;
    fs::copy(before.data_dir(), disk.path(), fs::copy_options::recursive);
    for (std::size_t i = 0, rest = static_cast<std::size_t>(image); i < names.size();
         ++i, rest /= 5) {
      const fs::path path = disk.path(names[i]);
      const std::string content = read_text(after.path(names[i]));
      switch (rest % 5) {
        case 0:
          break;  // as before
        case 1:
          cni::test::write_text(path, content);
          break;
        case 2:
          cni::test::write_text(path, "");
          break;
        case 3:
          cni::test::write_text(path, std::string(content.size(), '\0'));
          break;
        default:
          fs::remove(path);
      }
    }
    std::set<std::string> got = {"10.1.0.2/29", "10.1.0.3/29"};
    const bool c_survived = read_text(disk.path(names[0])) == "c\r\neth0";
    if (c_survived) got.insert("10.1.0.4/29");
    for (const auto* id : {"d", "e", "f"}) {
      const auto outcome =
          run({.binary = binary, .verb = "ADD", .container_id = id}, conf_at(disk.path()));
      if (c_survived && std::string_view(id) == "f") {
        REQUIRE(outcome.code() == 11);
        break;
      }
      REQUIRE(outcome.ok());
      REQUIRE(got.insert(outcome.addresses().at(0)).second);
    }
    for (const auto* id : {"a", "b", "c", "d", "e", "f"}) {
      REQUIRE(
          run({.binary = binary, .verb = "DEL", .container_id = id}, conf_at(disk.path())).ok());
    }
    for (const auto& entry : fs::directory_iterator(disk.path("net1"))) {
      const std::string name = entry.path().filename().string();
      REQUIRE((name == "lock" || name == "last_reserved_ip.0"));
    }
  }
}
