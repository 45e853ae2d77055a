// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "liveness.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/concat.h"
#include "support/catch.h"
#include "support/skip.h"

using cni::host_local::Lease;
using cni::host_local::Life;
using cni::host_local::Liveness;
using cni::host_local::Stamp;

namespace {

constexpr const char* kNow = "0123456789abcdef";
constexpr const char* kEarlier = "fedcba9876543210";

Lease lease(std::optional<Stamp> stamp, bool readable = true) {
  Lease out;
  if (readable) out.owner = cni::Attachment{"c1", "eth0"};
  out.stamp = std::move(stamp);
  out.made = cni::host_local::now();
  return out;
}

Liveness judge_with(bool complete, bool only_this_host = true) {
  return {kNow, only_this_host, Liveness::Namespaces{{100, 101}, complete}};
}

/// Waits in a network namespace of its own, for good.
pid_t start_in_new_netns() {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNET) == 0 && ::write(ends[1], "y", 1) == 1) ::pause();
    ::_exit(1);
  }
  char ready = 0;
  return ::read(ends[0], &ready, 1) == 1 ? pid : -1;
}

/// Runs as the first process of a PID namespace with its own /proc. The number of the step that
/// failed, or 0.
int look_from_inside() {
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
    return 77;
  }
  const std::string here = std::filesystem::read_symlink("/proc/self/ns/pid").string();
  if (Liveness::look_around().complete) return 1;  // not the namespace that sees all
  if (!Liveness::look_around(here).complete) return 2;
  const pid_t pid = start_in_new_netns();
  if (pid < 0) return 3;
  const auto inode = cni::host_local::netns_inode(cni::concat("/proc/", pid, "/ns/net"));
  if (inode == 0 || !Liveness::look_around(here).inodes.contains(inode)) return 4;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  const auto after = Liveness::look_around(here);
  return after.complete && !after.inodes.contains(inode) ? 0 : 5;
}

}  // namespace

TEST_CASE("host-local liveness: another boot is proof, on a disk of our own", "[host-local]") {
  CHECK(judge_with(true).judge(lease(Stamp{kEarlier, 100})) == Life::kDead);
  CHECK(judge_with(false).judge(lease(Stamp{kEarlier, 0})) == Life::kDead);
  CHECK(judge_with(true, false).judge(lease(Stamp{kEarlier, 100})) == Life::kSuspect);
}

TEST_CASE("host-local liveness: a namespace is gone only when all are known", "[host-local]") {
  CHECK(judge_with(true).judge(lease(Stamp{kNow, 100})) == Life::kAlive);
  CHECK(judge_with(true).judge(lease(Stamp{kNow, 102})) == Life::kDead);
  CHECK(judge_with(false).judge(lease(Stamp{kNow, 102})) == Life::kUnknown);
  CHECK(judge_with(true).judge(lease(Stamp{kNow, 0})) == Life::kUnknown);
}

TEST_CASE("host-local liveness: without a stamp only the clock speaks", "[host-local]") {
  CHECK(judge_with(true).judge(lease({})) == Life::kUnknown);
  Lease old = lease({});
  old.made = 1'000'000'000;
  CHECK(judge_with(true).judge(old) == Life::kSuspect);
}

TEST_CASE("host-local liveness: what is no lease is nobody's, unless it was a living one's",
          "[host-local]") {
  CHECK(judge_with(true).judge(lease({}, false)) == Life::kDead);
  CHECK(judge_with(true).judge(lease(Stamp{kNow, 100}, false)) == Life::kAlive);
  CHECK(judge_with(true).judge(lease(Stamp{kNow, 0}, false)) == Life::kUnknown);
  Lease directory = lease({}, false);
  directory.regular = false;
  CHECK(judge_with(true).judge(directory) == Life::kUnknown);
}

TEST_CASE("host-local liveness: the look around finds what exists and no more", "[host-local]") {
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) cni::test::skip("no right to make namespaces");
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(look_from_inside());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  if (WEXITSTATUS(status) == 77) cni::test::skip("no right to mount /proc");
  REQUIRE(status == 0);
}
