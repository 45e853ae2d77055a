// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "liveness.h"

#include <sched.h>

#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using cni::NetNs;
using cni::NetNsIdentity;
using cni::NetNsSurvey;
using cni::host_local::Lease;
using cni::host_local::Life;
using cni::host_local::Liveness;

namespace {

const std::string kNow = cni::boot_id();
constexpr const char* kEarlier = "fedcba9876543210";

Lease lease(std::optional<NetNsIdentity> stamp, bool readable = true) {
  Lease out;
  if (readable) out.owner = cni::Attachment{"c1", "eth0"};
  out.stamp = std::move(stamp);
  out.made = cni::host_local::now();
  return out;
}

/// The only network namespace there is, is this process's own.
Liveness judge_with(bool complete, bool only_this_host = true) {
  const NetNsSurvey::Places places{{NetNs::current().inode(), "/proc/self/ns/net"}};
  return {kNow, only_this_host, NetNsSurvey(places, complete)};
}

NetNsIdentity own() { return NetNsIdentity::of(NetNs::current()); }

NetNsIdentity without_cookie() { return {kNow, own().inode}; }

Lease old(Lease lease) {
  lease.made -= 3 * 3600 * cni::host_local::kSecond;
  return lease;
}

}  // namespace

TEST_CASE("host-local liveness: another boot is proof, on a disk of our own", "[host-local]") {
  NetNsIdentity earlier = own();
  earlier.boot = kEarlier;
  CHECK(judge_with(true).judge(lease(earlier)) == Life::kDead);
  CHECK(judge_with(false).judge(lease(NetNsIdentity{kEarlier})) == Life::kDead);
  CHECK(judge_with(true, false).judge(lease(earlier)) == Life::kSuspect);
}

TEST_CASE("host-local liveness: a namespace is gone only when all are known", "[host-local]") {
  CHECK(judge_with(true).judge(lease(own())) == Life::kAlive);
  CHECK(judge_with(true).judge(lease(NetNsIdentity{kNow, 102})) == Life::kDead);
  CHECK(judge_with(false).judge(lease(NetNsIdentity{kNow, 102})) == Life::kUnknown);
  CHECK(judge_with(true).judge(lease(NetNsIdentity{kNow})) == Life::kUnknown);
}

TEST_CASE("host-local liveness: another namespace with the number is proof", "[host-local]") {
  NetNsIdentity before = own();
  if (before.cookie == 0) cni::test::skip("this kernel does not tell namespaces apart");
  before.cookie += 1'000'000;
  CHECK(judge_with(true).judge(lease(before)) == Life::kDead);
  CHECK(judge_with(false).judge(lease(before)) == Life::kDead);
}

TEST_CASE("host-local liveness: where only the number is known the address decides",
          "[host-local]") {
  if (::unshare(CLONE_NEWNET) != 0) cni::test::skip("no right to make a network namespace");
  cni::test::tool("ip addr add 10.9.8.7/32 dev lo");
  Lease here = lease(without_cookie());
  here.address = cni::IpAddress::parse("10.9.8.7");
  Lease elsewhere = here;
  elsewhere.address = cni::IpAddress::parse("10.9.8.6");
  CHECK(judge_with(true).judge(old(here)) == Life::kAlive);
  CHECK(judge_with(true).judge(old(elsewhere)) == Life::kDead);
  // Its interface may be yet to come.
  CHECK(judge_with(true).judge(elsewhere) == Life::kAlive);
}

TEST_CASE("host-local liveness: without a stamp only the clock speaks", "[host-local]") {
  CHECK(judge_with(true).judge(lease({})) == Life::kUnknown);
  Lease ancient = lease({});
  ancient.made = 1'000'000'000;
  CHECK(judge_with(true).judge(ancient) == Life::kSuspect);
}

TEST_CASE("host-local liveness: what is no lease is nobody's, unless it was a living one's",
          "[host-local]") {
  CHECK(judge_with(true).judge(lease({}, false)) == Life::kDead);
  CHECK(judge_with(true).judge(lease(own(), false)) == Life::kAlive);
  CHECK(judge_with(true).judge(lease(NetNsIdentity{kNow}, false)) == Life::kUnknown);
  Lease directory = lease({}, false);
  directory.regular = false;
  CHECK(judge_with(true).judge(directory) == Life::kUnknown);
}
