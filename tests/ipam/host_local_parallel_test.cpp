// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <set>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/fd.h"
#include "base/process.h"
#include "ipam/fixture.h"
#include "support/catch.h"
#include "support/poll.h"

using cni::Child;
using cni::concat;
using cni::test::contains;
using cni::test::Network;
using cni::test::our_plugin;
using cni::test::Outcome;

namespace {

constexpr int kProcesses = 500;

/// Starts all calls before it waits for the first. Every other one is another verb for the
/// container of that number.
std::vector<Outcome> all_at_once(const Network& net, const std::string& verb,
                                 const std::string& other_verb) {
  cni::Deadline::start(std::chrono::minutes(5));
  const std::string binary = our_plugin("host-local");
  std::vector<Child> children;
  children.reserve(kProcesses);
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(
        Child::start(binary, {binary},
                     cni::test::environment_of({.binary = binary,
                                                .verb = i % 2 == 0 ? verb : other_verb,
                                                .container_id = concat("c", i)}),
                     net.conf()));
  }
  std::vector<Outcome> out;
  for (Child& child : children) {
    Outcome outcome;
    outcome.status = child.wait(outcome.output).code;
    out.push_back(std::move(outcome));
  }
  return out;
}

std::vector<Outcome> all_at_once(const Network& net, const std::string& verb) {
  return all_at_once(net, verb, verb);
}

/// A process that took the network's lock and was stopped.
class StoppedHolder {
 public:
  explicit StoppedHolder(const Network& net) : pid(::fork()) {
    REQUIRE(pid >= 0);
    if (pid == 0) {
      const cni::Fd lock = cni::open_file((net.dir() / "lock").string(), O_RDONLY);
      if (::flock(lock.get(), LOCK_EX) == 0) ::raise(SIGSTOP);
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, WUNTRACED) == pid);
    REQUIRE(WIFSTOPPED(status));
  }
  StoppedHolder(const StoppedHolder&) = delete;
  StoppedHolder& operator=(const StoppedHolder&) = delete;
  ~StoppedHolder() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  const pid_t pid;
};

timespec time_by(clockid_t clock) {
  timespec time{};
  REQUIRE(::clock_gettime(clock, &time) == 0);
  return time;
}

bool is_later(const timespec& a, const timespec& b) {
  return std::pair(a.tv_sec, a.tv_nsec) > std::pair(b.tv_sec, b.tv_nsec);
}

/// Somebody waits for a lock on this file.
bool is_waited_for(const std::filesystem::path& file) {
  struct stat info {};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  const std::string locks = cni::read_file("/proc/locks");
  for (auto at = locks.find("->"); at != locks.npos; at = locks.find("->", at + 1)) {
    const std::string line = locks.substr(at, locks.find('\n', at) - at);
    if (line.find(concat(":", info.st_ino, " ")) != line.npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("host-local parallel: 500 processes get 500 addresses and give them back",
          "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64"}]])");
  std::set<std::string> addresses;
  for (const Outcome& outcome : all_at_once(net, "ADD")) {
    REQUIRE(outcome.ok());
    for (const std::string& address : outcome.addresses()) {
      REQUIRE(addresses.insert(address).second);
    }
  }
  REQUIRE(addresses.size() == 2 * kProcesses);
  REQUIRE(net.leases().size() == 2 * kProcesses);
  for (const Outcome& outcome : all_at_once(net, "CHECK")) REQUIRE(outcome.ok());
  for (const Outcome& outcome : all_at_once(net, "DEL")) REQUIRE(outcome.ok());
  REQUIRE(net.leases().empty());
}

TEST_CASE("host-local parallel: some come while others go", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/23")");
  for (const Outcome& outcome : all_at_once(net, "DEL", "ADD")) REQUIRE(outcome.ok());
  for (int round = 0; round < 2; ++round) {
    const bool odd_go = round == 0;
    for (const Outcome& outcome :
         all_at_once(net, odd_go ? "ADD" : "DEL", odd_go ? "DEL" : "ADD")) {
      REQUIRE(outcome.ok());
    }
    std::set<std::string> owners;
    for (const auto& [address, content] : net.leases()) REQUIRE(owners.insert(content).second);
    REQUIRE(owners.size() == kProcesses / 2);
    REQUIRE(owners.contains(odd_go ? "c0\r\neth0" : "c1\r\neth0"));
  }
}

TEST_CASE("host-local parallel: a range that is too small serves whom it can", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  int served = 0;
  for (const Outcome& outcome : all_at_once(net, "ADD")) {
    served += outcome.ok();
    if (!outcome.ok()) REQUIRE(outcome.code() == 11);
  }
  REQUIRE(served == 253);
  REQUIRE(net.leases().size() == 253);
}

TEST_CASE("host-local lock: the wait ends at the deadline and names the holder", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  REQUIRE(net.add("c1").ok());
  {
    const StoppedHolder holder(net);
    for (const auto* verb : {"ADD", "DEL", "CHECK"}) {
      const Outcome outcome = net.call(
          cni::test::Call{.verb = verb, .container_id = "c1", .env = {"CNI_TIMEOUT_SECONDS=1"}});
      REQUIRE(outcome.code() == 11);
      REQUIRE_THAT(outcome.message(), contains((net.dir() / "lock").string()));
      REQUIRE_THAT(outcome.message(), contains(concat("held by pid ", holder.pid)));
    }
    REQUIRE(net.leases().size() == 1);
  }
  REQUIRE(net.check("c1").ok());
}

TEST_CASE("host-local GC: a lease made while it waits for the lock is kept", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  REQUIRE(net.add("c1").ok());
  cni::Fd lock = cni::open_file((net.dir() / "lock").string(), O_RDONLY);
  REQUIRE(::flock(lock.get(), LOCK_EX) == 0);
  cni::Deadline::start(std::chrono::minutes(1));
  const std::string binary = our_plugin("host-local");
  Child gc =
      Child::start(binary, {binary}, cni::test::environment_of({.binary = binary, .verb = "GC"}),
                   net.conf_with(R"(,"cni.dev/valid-attachments":[])"));
  REQUIRE(cni::test::eventually([&] { return is_waited_for(net.dir() / "lock"); }));
  const timespec began = time_by(CLOCK_REALTIME);
  // The kernel stamps files with its last tick.
  REQUIRE(cni::test::eventually([&] { return is_later(time_by(CLOCK_REALTIME_COARSE), began); }));
  net.put("10.1.0.9", "c9\r\neth0");
  lock.reset();
  std::string output;
  REQUIRE(gc.wait(output).code == 0);
  REQUIRE(net.leases() == std::map<std::string, std::string>{{"10.1.0.9", "c9\r\neth0"}});
}

TEST_CASE("host-local ADD: a lease is not older than the call that made it", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  for (int i = 2; i < 22; ++i) {
    const timespec began = time_by(CLOCK_REALTIME);
    REQUIRE(net.add(concat("c", i)).ok());
    struct stat info {};
    REQUIRE(::stat((net.dir() / concat("10.1.0.", i)).c_str(), &info) == 0);
    REQUIRE(is_later(info.st_mtim, began));
  }
}

TEST_CASE("host-local ranges: a thousand range sets", "[host-local]") {
  constexpr int kSets = 1000;
  std::string sets;
  for (int i = 0; i < kSets; ++i) {
    sets += concat(i == 0 ? "" : ",", "[{\"subnet\":\"10.", i / 250, ".", i % 250, ".0/24\"}]");
  }
  const Network net(concat("\"ranges\":[", sets, "]"));
  const Outcome outcome = net.add("c1");
  REQUIRE(outcome.ok());
  REQUIRE(outcome.addresses().size() == kSets);
  REQUIRE(outcome.addresses().back() == "10.3.249.2/24");
  REQUIRE(net.leases().size() == kSets);
  REQUIRE(net.check("c1").ok());
  REQUIRE(net.status().ok());
  REQUIRE(net.add("c1").code() == 102);
  REQUIRE(net.del("c1").ok());
  REQUIRE(net.leases().empty());
}

TEST_CASE("host-local ranges: a range set of a thousand ranges", "[host-local]") {
  std::string ranges;
  for (int i = 0; i < 1000; ++i) {
    ranges += concat(i == 0 ? "" : ",", "{\"subnet\":\"10.", i / 250, ".", i % 250, ".0/30\"}");
  }
  const Network net(concat("\"ranges\":[[", ranges, "]]"));
  REQUIRE(net.add("c1").addresses() == std::vector<std::string>{"10.0.0.2/30"});
  REQUIRE(net.add("c2").addresses() == std::vector<std::string>{"10.0.1.2/30"});
  REQUIRE(net.del("c1").ok());
}
