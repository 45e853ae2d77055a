// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What a verb changes on the disk is recorded, and played back onto disks that lost some of it
// because the power failed. The real plugin must get along with each of them after the boot.
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>

#include "base/concat.h"
#include "ipam/fixture.h"
#include "ipam/recorded.h"
#include "support/catch.h"

using cni::concat;
using cni::test::Disk;
using cni::test::Host;
using cni::test::Network;
using cni::test::Outcome;
using cni::test::Recording;
using cni::test::Refusal;

namespace fs = std::filesystem;

namespace {

const char* const kAttribute = "user.cnipp";
constexpr int kSize = 3;  // addresses of each set
const char* const kConf = R"("ranges":[[{"subnet":"10.1.0.0/29","rangeEnd":"10.1.0.4"}],)"
                          R"([{"subnet":"fd00::/125","rangeEnd":"fd00::4"}]])";
const std::vector<std::string> kRecorded = {"container-a", "container-b", "container-v"};

bool is_v4(const std::string& address) { return address.starts_with("10."); }

/// The files with an address for a name.
std::map<std::string, std::string> addresses(const Network& net) {
  auto out = net.leases();
  std::erase_if(out, [](const auto& file) {
    return !is_v4(file.first) && !file.first.starts_with("fd00::");
  });
  return out;
}

/// Those of them that are whole.
std::map<std::string, std::string> whole(const Network& net) {
  auto out = addresses(net);
  std::erase_if(out, [](const auto& file) {
    return std::ranges::find(kRecorded, file.second.substr(0, file.second.find('\r'))) ==
               kRecorded.end() ||
           !file.second.ends_with("\r\neth0");
  });
  return out;
}

/// Whole leases that do not say that they are of an earlier boot: nobody may take them.
std::map<std::string, std::string> unstamped(const Network& net) {
  auto out = whole(net);
  std::erase_if(out, [&](const auto& file) {
    return ::getxattr((net.dir() / file.first).c_str(), kAttribute, nullptr, 0) > 0;
  });
  return out;
}

/// What an ADD has got was free, unless the network was full and the dead had to go.
void require_new(const std::map<std::string, std::string>& before, const Outcome& added) {
  const auto v4 = std::ranges::count_if(before, [](const auto& file) { return is_v4(file.first); });
  if (v4 == kSize || std::ssize(before) - v4 == kSize) return;
  for (const std::string& got : added.addresses()) {
    REQUIRE_FALSE(before.contains(got.substr(0, got.find('/'))));
  }
}

/// Fills the network, and empties it.
void fill_and_empty(const Network& net) {
  const auto survivors = whole(net);
  const auto kept = unstamped(net);
  for (const auto& [address, content] : survivors) {
    REQUIRE(net.check(content.substr(0, content.find('\r'))).ok());
  }
  const auto v4 = std::ranges::count_if(kept, [](const auto& file) { return is_v4(file.first); });
  const auto room = kSize - std::max<std::ptrdiff_t>(v4, std::ssize(kept) - v4);
  REQUIRE(net.status().ok() == (room > 0));
  for (int i = 0;; ++i) {
    const auto before = addresses(net);
    const Outcome added = net.add(concat("new", i));
    if (!added.ok()) REQUIRE(added.code() == 11);
    REQUIRE(added.ok() == (i < room));
    if (!added.ok()) break;
    require_new(before, added);
    for (const auto& [address, content] : kept) REQUIRE(net.leases().at(address) == content);
  }
  for (int i = 0; i < room; ++i) REQUIRE(net.del(concat("new", i)).ok());
  for (const std::string& id : kRecorded) REQUIRE(net.del(id).ok());
  REQUIRE(addresses(net).empty());
}

class PowerCuts {
 public:
  PowerCuts() {
    // Without attributes nobody knows of a lease's boot.
    net_.put("probe", "");
    const fs::path probe = net_.dir() / "probe";
    if (::setxattr(probe.c_str(), kAttribute, "x", 1, 0) != 0) {
      cni::test::skip("no extended attributes on this disk (CNIPP_TEST_TMP names another)");
    }
    fs::remove_all(net_.dir());
  }

  [[nodiscard]] const Network& net() const { return net_; }

  void record(const std::function<void(Recording&)>& calls) {
    Recording recording(net_.data_dir(), kAttribute);
    calls(recording);
    host_.reboot();
    const std::size_t stride = cni::test::takes_long() ? 1 : 41;
    std::size_t number = 0;
    each_power_cut(recording.before(), recording.changes(),
                   [&](const std::string& story, const Disk& disk) {
                     if (number++ % stride != 0) return;
                     CAPTURE(story);
                     try_out(disk);
                   });
    INFO(number << " disks");
    REQUIRE(number > 30);
  }
  void run(Recording& recording, const std::string& verb, const std::string& id,
           const std::string& members = "", const std::vector<Refusal>& refusals = {}) {
    recording.run({.verb = verb, .container_id = id}, net_.conf_with(members), refusals);
  }

 private:
  void try_out(const Disk& disk) {
    const auto again = [&] { disk.write(net_.data_dir(), aside_.path()); };
    again();
    fill_and_empty(net_);

    again();
    REQUIRE(net_.gc({}).ok());
    REQUIRE(addresses(net_).empty());

    again();
    const auto survivors = whole(net_);
    REQUIRE(net_.gc({"container-a/eth0", "container-b/eth0", "container-v/eth0"}).ok());
    REQUIRE(addresses(net_) == survivors);
    // The runtime tries once more. A lease that says nothing of its boot may be a living one's.
    const auto kept = unstamped(net_);
    const bool in_the_way = std::ranges::any_of(
        kept, [](const auto& file) { return file.second == "container-v\r\neth0"; });
    REQUIRE(net_.add("container-v").ok() == !in_the_way);
  }

  Host host_;
  Network net_{kConf};
  cni::test::TempDir aside_;
};

std::string valid(const std::string& id) {
  return concat(R"(,"cni.dev/valid-attachments":[{"containerID":")", id, R"(","ifname":"eth0"}])");
}

}  // namespace

TEST_CASE("host-local power cut: ADD into a new network", "[host-local]") {
  PowerCuts cuts;
  cuts.record([&](Recording& recording) { cuts.run(recording, "ADD", "container-v"); });
}

TEST_CASE("host-local power cut: ADD, with and without an index", "[host-local]") {
  const bool with_index = GENERATE(true, false);
  PowerCuts cuts;
  REQUIRE(cuts.net().add("container-a").ok());
  if (!with_index) fs::remove_all(cuts.net().data_dir() / ".cnipp");
  cuts.record([&](Recording& recording) { cuts.run(recording, "ADD", "container-v"); });
}

TEST_CASE("host-local power cut: ADD where files need a name", "[host-local]") {
  PowerCuts cuts;
  REQUIRE(cuts.net().add("container-a").ok());
  const Refusal no_nameless_files{SYS_openat, 2, O_TMPFILE, EOPNOTSUPP};
  cuts.record([&](Recording& recording) {
    cuts.run(recording, "ADD", "container-v", "", {no_nameless_files});
  });
}

TEST_CASE("host-local power cut: DEL and GC", "[host-local]") {
  const std::string verb = GENERATE("DEL", "GC");
  PowerCuts cuts;
  REQUIRE(cuts.net().add("container-a").ok());
  REQUIRE(cuts.net().add("container-v").ok());
  cuts.record([&](Recording& recording) {
    cuts.run(recording, verb, "container-v", verb == "GC" ? valid("container-a") : "");
  });
}

TEST_CASE("host-local power cut: one verb after the other, nothing synced", "[host-local]") {
  PowerCuts cuts;
  REQUIRE(cuts.net().add("container-a").ok());
  cuts.record([&](Recording& recording) {
    cuts.run(recording, "ADD", "container-v");
    cuts.run(recording, "DEL", "container-a");
    cuts.run(recording, "ADD", "container-b");
    cuts.run(recording, "GC", "", valid("container-b"));
  });
}
