// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netns/identity.h"

#include <sched.h>
#include <sys/stat.h>

#include <set>

#include "support/catch.h"
#include "support/skip.h"

using cni::NetNs;
using cni::NetNsIdentity;
using Match = cni::NetNsIdentity::Match;

namespace {

const NetNsIdentity kWhole{"0123456789abcdef", 4026532567, 42};

}  // namespace

TEST_CASE("netns identity: the number that is never given twice decides") {
  CHECK(kWhole.compare(kWhole) == Match::kSame);
  CHECK(kWhole.compare({kWhole.boot, kWhole.inode, 43}) == Match::kOther);
  CHECK(kWhole.compare({"fedcba9876543210", kWhole.inode, kWhole.cookie}) == Match::kOther);
  CHECK(kWhole.compare({kWhole.boot, kWhole.inode + 1}) == Match::kOther);
}

TEST_CASE("netns identity: what is not known is no difference, and no proof") {
  CHECK(kWhole.compare({kWhole.boot, kWhole.inode}) == Match::kPossible);
  CHECK(kWhole.compare({}) == Match::kPossible);
  CHECK(NetNsIdentity{"", 5}.compare({"", 5}) == Match::kPossible);
  CHECK(NetNsIdentity{"", 0, 42}.compare(kWhole) == Match::kSame);
}

TEST_CASE("netns identity: text survives writing and reading") {
  REQUIRE(kWhole.text() == "0123456789abcdef:4026532567:42");
  for (const NetNsIdentity& one : {kWhole, NetNsIdentity{}, NetNsIdentity{kWhole.boot}}) {
    const auto back = NetNsIdentity::parse(one.text());
    REQUIRE(back);
    REQUIRE(back->text() == one.text());
  }
  for (const auto* text :
       {"", ":", "1", "1:2", "0123:1:2", "0123456789abcdef:1:2:3", "0123456789abcdef:-1:2",
        "0123456789abcdef:1:", "0123456789abcdef::2", "0123456789abcdef:1:99999999999999999999",
        "0123456789ABCDEF:1:2", "0123456789abcdef:1:2 "}) {
    CAPTURE(text);
    REQUIRE_FALSE(NetNsIdentity::parse(text));
  }
}

TEST_CASE("netns identity: of a namespace, and of a path that is none") {
  const NetNsIdentity here = NetNsIdentity::of(NetNs::current());
  REQUIRE(here.inode != 0);
  CHECK(here.compare(NetNsIdentity::of_path("/proc/self/ns/net")) != Match::kOther);
  for (const auto* path : {"", "/nonexistent", "/proc/self/ns/mnt", "/etc/hostname"}) {
    CHECK(NetNsIdentity::of_path(path).text() == NetNsIdentity{cni::boot_id()}.text());
  }
}

TEST_CASE("netns identity: the kernel's numbers are used again, identities never") {
  std::set<std::uint64_t> inodes;
  std::set<std::string> identities;
  int made = 0;
  for (; made < 500 && (made < 2 || inodes.size() == identities.size()); ++made) {
    if (::unshare(CLONE_NEWNET) != 0) cni::test::skip("no right to make a network namespace");
    const NetNsIdentity identity = NetNsIdentity::of(NetNs::current());
    if (identity.cookie == 0) cni::test::skip("this kernel does not tell namespaces apart");
    inodes.insert(identity.inode);
    identities.insert(identity.text());
  }
  REQUIRE(identities.size() == static_cast<std::size_t>(made));
  REQUIRE(inodes.size() < identities.size());
}
