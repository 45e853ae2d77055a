// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Leases of containers whose network namespace is gone. That is only known where every process can
// be seen: in the first PID namespace. And those that are not, which must never be taken for such.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/concat.h"
#include "base/fd.h"
#include "ipam/fixture.h"
#include "lease.h"
#include "netns/survey.h"
#include "support/catch.h"

using cni::concat;
using cni::Fd;
using cni::NetNsIdentity;
using cni::test::Network;
using cni::test::Outcome;

namespace {

const char* const kSmall = R"("subnet":"10.1.0.0/29")";  // five addresses to hand out

/// A process in a network namespace of its own.
class Sandbox {
 public:
  Sandbox() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    Fd ready(ends[0]);
    Fd told(ends[1]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char ok = ::unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
      if (::write(told.get(), &ok, 1) == 1) ::pause();
      ::_exit(0);
    }
    char ok = 0;
    REQUIRE(::read(ready.get(), &ok, 1) == 1);
    if (ok != 'y') cni::test::skip("no right to make a network namespace");
  }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox() { end(); }

  void end() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[nodiscard]] std::string path() const { return concat("/proc/", pid_, "/ns/net"); }

 private:
  pid_t pid_ = -1;
};

Outcome add(const Network& net, const std::string& id, const std::string& netns,
            const std::string& args = "") {
  return net.call(cni::test::Call{.verb = "ADD", .container_id = id, .netns = netns, .args = args});
}

void fill(const Network& net, const std::string& prefix, const std::string& netns) {
  for (int i = 0; i < 5; ++i) REQUIRE(add(net, concat(prefix, i), netns).ok());
}

/// What is known of a lease's namespace is in an extended attribute, which tmpfs has since 6.6.
void require_attributes(const Network& net, const char* lease) {
  if (::getxattr((net.dir() / lease).c_str(), "user.cnipp", nullptr, 0) > 0) return;
  cni::test::skip("no extended attributes on this disk (CNIPP_TEST_TMP names another)");
}

/// Where we may not look at every process, nobody is ever taken for dead by his namespace.
bool sees_everything() { return cni::NetNsSurvey::make().complete(); }

/// As if the kernel had given the number of the leases' namespace to another one, which it does
/// sooner or later.
void give_number_to(const Network& net, const NetNsIdentity& dead, std::uint64_t inode) {
  const std::string stamp =
      cni::host_local::stamp_text({.boot = dead.boot, .inode = inode, .cookie = dead.cookie});
  for (const auto& [name, content] : net.leases()) {
    REQUIRE(::setxattr((net.dir() / name).c_str(), "user.cnipp", stamp.data(), stamp.size(),
                       XATTR_REPLACE) == 0);
  }
  std::filesystem::remove_all(net.data_dir() / ".cnipp");  // it does not know of this
}

}  // namespace

TEST_CASE("host-local netns: the leases of a namespace that is gone are handed out again",
          "[host-local]") {
  if (!sees_everything()) cni::test::skip("not every process can be seen from here");
  const Network net(kSmall);
  const Sandbox living;
  Sandbox dying;
  REQUIRE(add(net, "alive", living.path()).ok());
  for (int i = 0; i < 4; ++i) REQUIRE(add(net, concat("c", i), dying.path()).ok());
  require_attributes(net, "10.1.0.2");
  REQUIRE(net.add("x").code() == 11);
  REQUIRE(net.status().code() == 50);
  dying.end();
  REQUIRE(net.status().ok());
  REQUIRE(net.leases().size() == 5);
  REQUIRE(net.add("x").ok());
  REQUIRE(net.leases().size() == 2);
  REQUIRE(net.check("alive").ok());
}

TEST_CASE("host-local netns: a namespace with the number of one that is gone is another one",
          "[host-local]") {
  const Network net(kSmall);
  Sandbox dying;
  fill(net, "c", dying.path());
  require_attributes(net, "10.1.0.2");
  const auto dead = NetNsIdentity::of_path(dying.path());
  if (dead.cookie == 0) cni::test::skip("this kernel does not tell namespaces apart");
  dying.end();
  const Sandbox next;
  const std::string netns = next.path();
  give_number_to(net, dead, NetNsIdentity::of_path(netns).inode);

  REQUIRE(net.status().ok());
  SECTION("another container") { REQUIRE(add(net, "x", netns).ok()); }
  SECTION("the same container again") { REQUIRE(add(net, "c1", netns).ok()); }
  SECTION("a requested address") { REQUIRE(add(net, "x", netns, "IP=10.1.0.4").ok()); }
}

TEST_CASE("host-local netns: one container after the other, and never a DEL", "[host-local]") {
  if (!sees_everything()) cni::test::skip("not every process can be seen from here");
  const Network net(kSmall);
  for (int i = 0; i < 20; ++i) {
    const Sandbox sandbox;
    REQUIRE(add(net, concat("c", i), sandbox.path()).ok());
    if (i == 0) require_attributes(net, "10.1.0.2");
  }
}

TEST_CASE("host-local netns: a living container's lease is never taken", "[host-local]") {
  // What keeps the namespace alive: a process, or only a thread, an open file, a mount.
  const std::string by = GENERATE("process", "thread", "file", "mount", "mount elsewhere");
  CAPTURE(by);
  const Network net(kSmall);
  const cni::test::TempDir temp;
  const std::string mount_point = temp.path("netns");
  Sandbox sandbox;
  fill(net, "c", sandbox.path());

  Fd held;
  std::thread thread;
  std::atomic<bool> done = false;
  std::atomic<bool> inside = false;
  pid_t elsewhere = -1;
  if (by == "file" || by == "thread")
    held = Fd(::open(sandbox.path().c_str(), O_RDONLY | O_CLOEXEC));
  if (by == "thread") {
    thread = std::thread([&] {
      if (::setns(held.get(), CLONE_NEWNET) != 0) std::abort();
      inside = true;
      while (!done) std::this_thread::yield();
    });
    while (!inside) std::this_thread::yield();
    held.reset();
  }
  if (by.starts_with("mount")) {
    cni::test::write_text(mount_point, "");
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    elsewhere = by == "mount" ? 0 : ::fork();
    if (elsewhere == 0) {
      REQUIRE(::unshare(CLONE_NEWNS) == 0);
      REQUIRE(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
      REQUIRE(::mount(sandbox.path().c_str(), mount_point.c_str(), nullptr, MS_BIND, nullptr) == 0);
      if (by != "mount") {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::write(ends[1], "y", 1) == 1) ::pause();
        ::_exit(0);
      }
    } else {
      char ready = 0;
      REQUIRE(::read(ends[0], &ready, 1) == 1);
    }
  }
  if (by != "process") sandbox.end();

  const auto before = net.leases();
  REQUIRE(net.add("x").code() == 11);
  REQUIRE(net.add("c0").code() == 102);
  REQUIRE(net.add("x", "eth0", "IP=10.1.0.3").code() == 102);
  REQUIRE(net.status().code() == 50);
  REQUIRE(net.leases() == before);

  done = true;
  if (thread.joinable()) thread.join();
  held.reset();
  if (by == "mount") REQUIRE(::umount2(mount_point.c_str(), MNT_DETACH) == 0);
  if (elsewhere > 0) {
    ::kill(elsewhere, SIGKILL);
    ::waitpid(elsewhere, nullptr, 0);
  }
}

TEST_CASE("host-local torn files: a damaged lease of the living is kept for them", "[host-local]") {
  const Network net(kSmall);
  Sandbox sandbox;
  fill(net, "c", sandbox.path());
  require_attributes(net, "10.1.0.2");
  net.put("10.1.0.3", "");
  net.put("10.1.0.4", std::string(8, char{}));
  REQUIRE(net.add("x").code() == 11);
  REQUIRE(net.gc({"c0/eth0", "c3/eth0", "c4/eth0"}).ok());
  REQUIRE(net.leases().size() == 5);
  REQUIRE(net.del("c1").ok());  // nobody knows any more that it was c1's
}
