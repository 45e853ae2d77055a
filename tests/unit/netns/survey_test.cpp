// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netns/survey.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/concat.h"
#include "support/catch.h"
#include "support/skip.h"

using cni::concat;
using cni::NetNs;
using cni::NetNsIdentity;
using cni::NetNsSurvey;
using Finding = cni::NetNsSurvey::Finding;

namespace {

/// Waits in a network namespace of its own, for good.
pid_t start_in_new_netns() {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNET) == 0 && ::write(ends[1], "y", 1) == 1) ::pause();
    ::_exit(1);
  }
  ::close(ends[1]);
  char ready = 0;
  return ::read(ends[0], &ready, 1) == 1 ? pid : -1;
}

NetNsIdentity identity_of(pid_t pid) {
  return NetNsIdentity::of_path(concat("/proc/", pid, "/ns/net"));
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

/// Runs as the first process of a PID namespace with its own /proc. The number of the step that
/// failed, or 0.
int look_from_inside() {
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
    return 77;
  }
  const std::string here = std::filesystem::read_symlink("/proc/self/ns/pid").string();
  if (NetNsSurvey::make().complete()) return 1;  // not the namespace that sees all
  if (!NetNsSurvey::make(here).complete()) return 2;
  const pid_t pid = start_in_new_netns();
  if (pid < 0) return 3;
  const NetNsIdentity identity = identity_of(pid);
  const NetNsSurvey before = NetNsSurvey::make(here);
  if (before.find(identity) != Finding::kExists) return 4;
  if (!before.open(identity.inode)) return 5;
  end(pid);
  if (before.open(identity.inode)) return 6;
  if (NetNsSurvey::make(here).find(identity) != Finding::kGone) return 7;
  return NetNsSurvey::make().find(identity) == Finding::kUnknown ? 0 : 8;
}

}  // namespace

TEST_CASE("netns survey: finds what exists and no more") {
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) cni::test::skip("no right to make namespaces");
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(look_from_inside());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  if (WEXITSTATUS(status) == 77) cni::test::skip("no right to mount /proc");
  REQUIRE(status == 0);
}

TEST_CASE("netns survey: a mount alone leads to its namespace") {
  if (::unshare(CLONE_NEWNS) != 0) cni::test::skip("no right to make namespaces");
  REQUIRE(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  REQUIRE(::mount("none", "/mnt", "tmpfs", 0, nullptr) == 0);
  const pid_t pid = start_in_new_netns();
  REQUIRE(pid > 0);
  REQUIRE(::close(::creat("/mnt/blue", 0600)) == 0);
  REQUIRE(::mount(concat("/proc/", pid, "/ns/net").c_str(), "/mnt/blue", nullptr, MS_BIND,
                  nullptr) == 0);
  const NetNsIdentity identity = identity_of(pid);
  end(pid);
  REQUIRE(NetNsSurvey::make().find(identity) == Finding::kExists);
}

TEST_CASE("netns survey: another namespace with the number is proof, wherever we look from") {
  NetNsIdentity identity = NetNsIdentity::of(NetNs::current());
  if (identity.cookie == 0) cni::test::skip("this kernel does not tell namespaces apart");
  const NetNsSurvey survey = NetNsSurvey::make("nowhere");
  REQUIRE_FALSE(survey.complete());
  CHECK(survey.find(identity) == Finding::kExists);
  CHECK(survey.find({identity.boot, identity.inode}) == Finding::kNumberExists);
  ++identity.cookie;
  CHECK(survey.find(identity) == Finding::kGone);
  CHECK(survey.find({"fedcba9876543210", identity.inode, identity.cookie}) == Finding::kGone);
  CHECK(survey.find({identity.boot}) == Finding::kUnknown);
}
