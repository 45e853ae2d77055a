// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Leases whose attachment cannot exist any more, and those that must never be taken for such.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "base/concat.h"
#include "base/fd.h"
#include "ipam/fixture.h"
#include "liveness.h"
#include "support/catch.h"
#include "support/poll.h"

using cni::concat;
using cni::Fd;
using cni::test::contains;
using cni::test::eventually;
using cni::test::Host;
using cni::test::Network;
using cni::test::our_plugin;
using cni::test::Outcome;

namespace fs = std::filesystem;

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
  return net.call(cni::test::Call{.binary = our_plugin("host-local"),
                                  .verb = "ADD",
                                  .container_id = id,
                                  .netns = netns,
                                  .args = args});
}

void fill(const Network& net, const std::string& prefix, const std::string& netns) {
  for (int i = 0; i < 5; ++i) REQUIRE(add(net, concat(prefix, i), netns).ok());
}

/// Where we may not look at every process, nobody is ever taken for dead by his namespace.
bool sees_everything() { return cni::host_local::Liveness::look_around().complete; }

}  // namespace

TEST_CASE("host-local reboot: leases of an earlier boot never exhaust a range", "[host-local]") {
  Host host;
  const bool all = std::getenv("CNI_TEST_LONG") != nullptr;
  const int size = all ? 253 : 13;
  const Network net(all ? R"("subnet":"10.1.0.0/24")" : R"("subnet":"10.1.0.0/28")");
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < size; ++i) {
      CAPTURE(round, i);
      REQUIRE(net.add(concat("r", round, "c", i)).ok());
    }
    REQUIRE(net.add("one-too-many").code() == 11);
    host.reboot();
  }
}

TEST_CASE("host-local reboot: the same container gets addresses again", "[host-local]") {
  Host host;
  const Network net(kSmall);
  REQUIRE(net.add("c1").addresses() == std::vector<std::string>{"10.1.0.2/29"});
  REQUIRE(net.add("c1").code() == 102);
  host.reboot();
  REQUIRE(net.add("c1").addresses() == std::vector<std::string>{"10.1.0.3/29"});
  REQUIRE(net.leases().size() == 1);
  REQUIRE(net.add("c2", "eth0", "IP=10.1.0.3").code() == 102);
  host.reboot();
  REQUIRE(net.add("c2", "eth0", "IP=10.1.0.3").ok());
}

TEST_CASE("host-local reboot: STATUS counts on what can be reclaimed", "[host-local]") {
  Host host;
  const Network net(kSmall);
  fill(net, "c", "/dummy");
  REQUIRE(net.status().code() == 50);
  host.reboot();
  const auto before = net.leases();
  REQUIRE(net.status().ok());
  REQUIRE(net.leases() == before);
}

TEST_CASE("host-local reclaim: never and onBoot", "[host-local]") {
  Host host;
  const Network never(concat(kSmall, R"(,"reclaim":"never")"));
  const Network on_boot(concat(kSmall, R"(,"reclaim":"onBoot")"));
  fill(never, "c", "/dummy");
  fill(on_boot, "c", "/dummy");
  host.reboot();
  const Outcome full = never.add("c9");
  REQUIRE(full.code() == 11);
  REQUIRE_THAT(full.message(), contains("5 look dead"));
  REQUIRE_THAT(full.message(), contains("cnitool ipam free net1 --dead"));
  REQUIRE(on_boot.add("c9").ok());
  REQUIRE(on_boot.leases().size() == 1);
}

TEST_CASE("host-local reclaim: a reference lease is not taken for dead", "[host-local][oracle]") {
  cni::test::require_file(cni::test::reference_plugin("host-local"));
  Host host;
  const Network net(kSmall);
  REQUIRE(net.add("c1").ok());
  host.reboot();
  // The container was started again, by the reference, and got the very same address.
  REQUIRE(net.call(cni::test::reference_plugin("host-local"), "DEL", "c1").ok());
  cni::test::write_text(net.dir() / "last_reserved_ip.0", "10.1.0.6");
  REQUIRE(net.call(cni::test::reference_plugin("host-local"), "ADD", "c1").ok());
  REQUIRE(net.leases().contains("10.1.0.2"));
  for (int i = 0; i < 4; ++i) REQUIRE(net.add(concat("x", i)).ok());
  REQUIRE(net.add("x9").code() == 11);
  REQUIRE(net.leases().at("10.1.0.2") == "c1\r\neth0");
}

TEST_CASE("host-local exhaustion: the error says what to do", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.2.0.0/24"}],[{"subnet":"10.1.0.0/29"}]])");
  for (int i = 0; i < 5; ++i) REQUIRE(net.add(concat("c", i)).ok());
  const Outcome full = net.add("c9");
  REQUIRE(full.code() == 11);
  REQUIRE_THAT(full.message(), contains("failed to allocate for range 1: no IP addresses available "
                                        "in range set: 10.1.0.1-10.1.0.6"));
  REQUIRE_THAT(full.message(), contains("5 leases, the oldest 10.1.0.2 of container \"c0\""));
  REQUIRE_THAT(full.message(), contains("; 0 look dead"));
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
  sandbox.end();
  if (!sees_everything()) return;
  // Inode numbers of namespaces are used again, so one that ended can look alive for a while.
  REQUIRE(eventually([&] { return net.add("x").ok(); }));
  REQUIRE(net.leases().size() == 1);
}

TEST_CASE("host-local torn files: never block an address for ever", "[host-local]") {
  using std::string;
  const auto content = GENERATE(
      values<string>({string(), string(12, '\0'), string("\r\n"), string("c1\r\n\0\0\0\0", 8),
                      string("\x8f\x01\xff"), string(20000, 'x'), string("a b c")}));
  const Network net(kSmall);
  for (int i = 2; i <= 6; ++i) net.put(concat("10.1.0.", i), content);
  REQUIRE(net.status().ok());
  REQUIRE(net.add("c1", "eth0", "IP=10.1.0.4").ok());
  REQUIRE(net.leases().at("10.1.0.4") == "c1\r\neth0");
  REQUIRE(net.add("c2").ok());
  REQUIRE(net.leases().size() == 2);
  net.put("10.1.0.2", content);
  REQUIRE(net.gc({"c1/eth0", "c2/eth0"}).ok());
  REQUIRE(net.leases().size() == 2);
}

TEST_CASE("host-local torn files: a damaged lease of the living is kept for them", "[host-local]") {
  const Network net(kSmall);
  Sandbox sandbox;
  fill(net, "c", sandbox.path());
  net.put("10.1.0.3", "");
  net.put("10.1.0.4", std::string(8, char{}));
  REQUIRE(net.add("x").code() == 11);
  REQUIRE(net.gc({"c0/eth0", "c3/eth0", "c4/eth0"}).ok());
  REQUIRE(net.leases().size() == 5);
  REQUIRE(net.del("c1").ok());  // nobody knows any more that it was c1's
  sandbox.end();
  if (!sees_everything()) return;
  REQUIRE(eventually([&] { return net.add("x").ok(); }));
}
