// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <set>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/fd.h"
#include "base/process.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::Child;
using cni::concat;
using cni::test::contains;
using cni::test::Network;
using cni::test::our_plugin;
using cni::test::Outcome;

namespace {

constexpr int kProcesses = 500;

/// Starts all calls before it waits for the first.
std::vector<Outcome> all_at_once(const Network& net, const std::string& verb) {
  cni::Deadline::start(std::chrono::minutes(5));
  const std::string binary = our_plugin("host-local");
  std::vector<Child> children;
  children.reserve(kProcesses);
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(Child::start(
        binary, {binary},
        cni::test::environment_of({.binary = binary, .verb = verb, .container_id = concat("c", i)}),
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
  const cni::Fd lock = cni::open_file((net.dir() / "lock").string(), O_RDONLY);
  REQUIRE(::flock(lock.get(), LOCK_EX) == 0);
  const Outcome outcome = net.call(cni::test::Call{.binary = our_plugin("host-local"),
                                                   .verb = "ADD",
                                                   .container_id = "c2",
                                                   .env = {"CNI_TIMEOUT_SECONDS=1"}});
  REQUIRE(outcome.code() == 11);
  REQUIRE_THAT(outcome.message(), contains((net.dir() / "lock").string()));
  REQUIRE_THAT(outcome.message(), contains(concat("held by pid ", ::getpid())));
  REQUIRE(net.leases().size() == 1);
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
