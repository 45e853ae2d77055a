// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/owner.h"

#include "support/catch.h"

using cni::Attachment;
using cni::Owner;
using cni::OwnerSet;

TEST_CASE("owner set: what is in it, by tag, by attachment, by container", "[owner]") {
  const OwnerSet set("net1", {{"b", "eth0"}, {"a", "eth1"}, {"a", "eth0"}, {"a", "eth0"}});
  for (const Attachment& attachment : set.attachments()) {
    CHECK(set.contains(Owner("net1", attachment.container_id, attachment.ifname).tag()));
    CHECK_FALSE(set.contains(Owner("net2", attachment.container_id, attachment.ifname).tag()));
    CHECK(set.contains(attachment));
    CHECK(set.contains_container(attachment.container_id));
  }
  CHECK_FALSE(set.contains(Owner("net1", "b", "eth1").tag()));
  CHECK_FALSE(set.contains(Attachment{"b", "eth1"}));
  CHECK_FALSE(set.contains_container("c"));
  CHECK_FALSE(set.contains_container(""));
}

TEST_CASE("owner set: what is no tag is not in it", "[owner]") {
  const OwnerSet set("net1", {{"a", "eth0"}});
  const std::string tag = Owner("net1", "a", "eth0").tag();
  CHECK(set.contains(tag));
  CHECK_FALSE(set.contains(tag + "0"));
  CHECK_FALSE(set.contains(tag.substr(0, tag.size() - 1)));
  CHECK_FALSE(set.contains(""));
  CHECK_FALSE(OwnerSet("net1", {}).contains(tag));
}
