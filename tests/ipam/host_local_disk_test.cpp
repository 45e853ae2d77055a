// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What host-local asks of the kernel and the disk.
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <functional>

#include "base/concat.h"
#include "index.h"
#include "ipam/fixture.h"
#include "ipam/traced.h"
#include "liveness.h"
#include "support/catch.h"
#include "support/command.h"

using cni::concat;
using cni::test::Call;
using cni::test::contains;
using cni::test::count_system_calls;
using cni::test::Network;
using cni::test::Outcome;
using cni::test::Refusal;
using cni::test::require_own_mounts;

namespace {

const std::vector<Refusal> kNoNamelessFiles = {{SYS_openat, 2, O_TMPFILE, EOPNOTSUPP}};
const std::vector<Refusal> kNoLinkFromDescriptor = {{SYS_linkat, 4, AT_EMPTY_PATH, ENOENT}};
const std::vector<Refusal> kNoAttributes = {{SYS_fsetxattr, 0, 0, EOPNOTSUPP},
                                            {SYS_fgetxattr, 0, 0, EOPNOTSUPP}};
const std::vector<Refusal> kNoTimes = {{SYS_utimensat, 0, 0, EPERM}};
const std::vector<Refusal> kNoIndex = {{SYS_mkdir, 0, 0, EROFS}};
const std::vector<Refusal> kFullDisk = {{SYS_pwrite64, 0, 0, ENOSPC}};

}  // namespace

TEST_CASE("host-local cost: the system calls do not grow with the leases", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64"}]])");
  const auto count = [&](const char* verb, const char* id) {
    return count_system_calls({.verb = verb, .container_id = id}, net.conf());
  };
  const auto all = [&] {
    REQUIRE(net.add("warm").ok());
    REQUIRE(net.del("warm").ok());
    return std::vector<int>{count("ADD", "x"), count("CHECK", "x"), count("DEL", "nobody"),
                            count("DEL", "x")};
  };
  const std::vector<int> empty = all();
  for (int i = 0; i < 3000; ++i) {
    const std::string content = concat("id", i, "\r\neth0");
    net.put(concat("10.1.", 1 + i / 250, ".", 1 + i % 250), content);
  }
  const std::vector<int> full = all();
  CAPTURE(empty, full);
  for (std::size_t i = 0; i < empty.size(); ++i) {
    REQUIRE(full[i] <= empty[i] + 10);  // a few more memory requests
  }
}

TEST_CASE("host-local cost: a full network does not read its leases for each ADD", "[host-local]") {
  const auto refused = [](const char* subnet, int leases) {
    const Network net(concat("\"subnet\":\"", subnet, "\""));
    for (int i = 2; i < leases + 2; ++i) {
      net.put(concat("10.1.", i / 256, ".", i % 256), concat("id", i, "\r\neth0"));
    }
    REQUIRE(net.add("x").code() == 11);
    return count_system_calls({.verb = "ADD", .container_id = "y"}, net.conf());
  };
  const int small = refused("10.1.0.0/24", 253);
  const int large = refused("10.1.0.0/20", 4093);
  CAPTURE(small, large);
  REQUIRE(large - small < 4093 / 20);  // the pages of the index
}

TEST_CASE("host-local exhaustion: an index that is wrong is believed for a minute at most",
          "[host-local]") {
  using cni::host_local::Index;
  const Network net(R"("subnet":"10.1.0.0/29")");
  REQUIRE(net.add("a").ok());
  REQUIRE(net.del("a").ok());
  const auto add_with_index_of = [&](std::int64_t moment) {
    Index index = Index::make(5, moment);
    for (int i = 2; i <= 6; ++i) index.insert({cni::IpAddress::parse(concat("10.1.0.", i))}, 0);
    struct stat info {};
    REQUIRE(::stat(net.dir().c_str(), &info) == 0);
    REQUIRE(index.save((net.data_dir() / ".cnipp/net1.index").string(),
                       Index::State::of(info, cni::boot_id())));
    return net.add("b");
  };
  REQUIRE(add_with_index_of(Index::clock()).code() == 11);
  REQUIRE(add_with_index_of(Index::clock() - 1000).ok());
}

TEST_CASE("host-local disk: poorer file systems and kernels will do", "[host-local]") {
  const auto refusals = GENERATE(kNoNamelessFiles, kNoLinkFromDescriptor, kNoAttributes, kNoTimes,
                                 kNoIndex, kFullDisk);
  CAPTURE(refusals.front().number);
  const Network net(R"("subnet":"10.1.0.0/29")");
  std::filesystem::create_directories(net.dir());
  const auto call = [&](const char* verb, const char* id) {
    return cni::test::run_refusing({.verb = verb, .container_id = id}, net.conf(), refusals);
  };
  for (int round = 0; round < 3; ++round) {
    REQUIRE(call("ADD", "a") == 0);
    REQUIRE(call("ADD", "b") == 0);
    REQUIRE(call("ADD", "a") == 1);
    REQUIRE(call("CHECK", "a") == 0);
    REQUIRE(net.leases().size() == 2);
    REQUIRE(call("DEL", "a") == 0);
    REQUIRE(call("CHECK", "a") == 1);
    REQUIRE(call("DEL", "b") == 0);
    REQUIRE(net.leases().empty());
  }
}

TEST_CASE("host-local disk: a full one costs no lease and keeps none", "[host-local]") {
  const char* const options = GENERATE("size=64k", "size=1m,nr_inodes=12");
  require_own_mounts();
  const Network net(R"("subnet":"10.1.0.0/24")");
  REQUIRE(::mount("full", net.data_dir().c_str(), "tmpfs", 0, options) == 0);
  int made = 0;
  while (net.add(concat("c", made)).ok()) ++made;
  REQUIRE(made >= 4);
  const Outcome refused = net.add("late");
  REQUIRE(refused.code() == 5);
  REQUIRE_THAT(refused.message(), contains("ENOSPC"));
  REQUIRE(net.leases().size() == static_cast<std::size_t>(made));
  REQUIRE(net.status().code() == 50);
  for (int i = 0; i < made; ++i) REQUIRE(net.check(concat("c", i)).ok());
  REQUIRE(net.del("c0").ok());
  REQUIRE(net.status().ok());
  REQUIRE(net.add("late").ok());
  for (int i = 1; i < made; ++i) REQUIRE(net.del(concat("c", i)).ok());
  REQUIRE(net.leases().size() == 1);
  REQUIRE(::umount2(net.data_dir().c_str(), MNT_DETACH) == 0);
}

TEST_CASE("host-local disk: whole seconds are enough to notice every change", "[host-local]") {
  require_own_mounts();
  const Network net(R"("subnet":"10.1.0.0/24")");
  const cni::test::TempDir temp;
  const std::string image = temp.write("image", "");
  std::filesystem::resize_file(image, 4U << 20);
  // Inodes of 128 bytes have no room for parts of a second.
  const auto works = [](std::vector<std::string> argv) {
    return cni::test::run(cni::test::Command{.argv = std::move(argv)}).ok();
  };
  if (!works({"mkfs.ext4", "-q", "-F", "-I", "128", image}) ||
      !works({"mount", "-o", "loop", image, net.data_dir().string()})) {
    cni::test::skip("no loop device, or no mkfs.ext4");
  }
  REQUIRE(net.add("c0").ok());
  for (int i = 1; i < 6; ++i) {
    struct stat before {};
    struct stat after {};
    REQUIRE(::stat(net.dir().c_str(), &before) == 0);
    REQUIRE(net.add(concat("c", i)).ok());
    REQUIRE(::stat(net.dir().c_str(), &after) == 0);
    REQUIRE(before.st_mtim.tv_nsec == 0);
    REQUIRE(before.st_mtim.tv_sec != after.st_mtim.tv_sec);
  }
  REQUIRE(::umount2(net.data_dir().c_str(), MNT_DETACH) == 0);
}

TEST_CASE("host-local disk: DEL fails when a lease cannot be removed, and only then",
          "[host-local]") {
  require_own_mounts();
  const Network net(R"("subnet":"10.1.0.0/29")");
  REQUIRE(net.add("a").ok());
  const std::string dir = net.data_dir().string();
  REQUIRE(::mount(dir.c_str(), dir.c_str(), nullptr, MS_BIND, nullptr) == 0);
  REQUIRE(::mount("", dir.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  REQUIRE(net.del("nobody").ok());
  REQUIRE(net.check("a").ok());
  REQUIRE(net.del("a").code() == 5);
  REQUIRE(net.add("b").code() == 5);
  const Outcome status = net.status();
  REQUIRE(status.code() == 50);
  REQUIRE_THAT(status.message(), contains("EROFS"));
  REQUIRE(::umount2(dir.c_str(), MNT_DETACH) == 0);
  REQUIRE(net.status().ok());
  REQUIRE(net.del("a").ok());
  REQUIRE(net.leases().empty());
}
