// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What tap has besides what holds for every interface plugin.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

struct TapHost {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Snapshot before = snapshot_network(sandbox.net()).only("link addr route");

  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] Attachment attachment(std::string_view members) const {
    return {.conf = plugin_conf("tap", members), .netns = sandbox.path(), .plugin = "tap"};
  }
  [[nodiscard]] cni::Json data() const {
    return cni::Json(link_of("eth0", inside()).root()["linkinfo"]["info_data"]);
  }
  [[nodiscard]] std::string leftovers() const {
    return difference(before, snapshot_network(sandbox.net()).only("link addr route"));
  }
};

}  // namespace

TEST_CASE("tap ADD: the device is as it was asked for", "[tap]") {
  const TapHost on;
  const Attachment attachment =
      on.attachment(R"("owner":54321,"group":0,"multiQueue":true,"vnetHdr":true,"packetInfo":true,)"
                    R"("mac":"02:00:00:00:00:42","mtu":1400)");
  const cni::Json result = attachment.add();
  const cni::Json data = on.data();
  INFO(data.dump(2));
  CHECK(data.root()["type"].string() == "tap");
  CHECK(data.root()["user"].text().find("54321") != std::string::npos);
  CHECK(data.root()["group"].written());
  CHECK(data.root()["multi_queue"].bool_or(false));
  CHECK(data.root()["vnet_hdr"].bool_or(false));
  CHECK(data.root()["pi"].bool_or(false));
  CHECK(data.root()["persist"].bool_or(false));
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["address"].string() == "02:00:00:00:00:42");
  CHECK(link.root()["mtu"].text() == "1400");
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("tap ADD: plain, for root", "[tap]") {
  const TapHost on;
  on.attachment("").add();
  const cni::Json data = on.data();
  CHECK_FALSE(data.root()["user"].written());
  CHECK_FALSE(data.root()["multi_queue"].bool_or(false));
  CHECK_FALSE(data.root()["vnet_hdr"].bool_or(false));
  CHECK_FALSE(data.root()["pi"].bool_or(false));
}

TEST_CASE("tap ADD: in a bridge of the container", "[tap]") {
  const TapHost on;
  const Attachment attachment = on.attachment(R"("bridge":"br0")");
  const Output missing = attachment.run("ADD");
  CHECK(code_of(missing) == 7);
  CHECK_THAT(message_of(missing), contains("br0"));
  CHECK(on.leftovers() == "");
  tool("ip link add br0 type bridge", on.inside());
  const cni::Json result = attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["master"].string() == "br0");
  CHECK(attachment.run("CHECK", result).ok());
  require_noticed(attachment, result,
                  {"ip link set eth0 nomaster", "ip link set eth0 master br0", "br0", on.inside()});
}

TEST_CASE("tap ADD: refused, and nothing is made", "[tap]") {
  const TapHost on;
  for (const char* const members :
       {R"("owner":-1)", R"("group":"root")", R"("owner":4294967295)", R"("mtu":-1)",
        R"("mac":"01:00:00:00:00:01")", R"("kind":"tun")", R"("multiQueue":1)",
        R"("selinuxContext":"system_u:object_r:x_t:s0")", R"("kind":"macvtap","mode":"vepa")"}) {
    const Output output = on.attachment(members).run("ADD");
    INFO(members << " " << output.text());
    CHECK(code_of(output) == 7);
    CHECK(on.leftovers() == "");
  }
  CHECK(code_of(on.attachment(R"("mtu":99999)").run("ADD")) == 7);
  CHECK(on.leftovers() == "");
}

TEST_CASE("tap CHECK: notices who may open it, and its queues", "[tap]") {
  const TapHost on;
  const cni::Json result = on.attachment(R"("owner":1000,"group":7)").add();
  const auto notice = [&](std::string_view members, const std::string& named) {
    const Output output = on.attachment(members).run("CHECK", result);
    CHECK(code_of(output) == 101);
    CHECK_THAT(message_of(output), contains(named));
  };
  notice(R"("owner":1001,"group":7)", "owner 1000 instead of 1001");
  notice(R"("owner":1000)", "group 7 instead of none");
  notice(R"("owner":1000,"group":7,"multiQueue":true)", "multiQueue");
}

TEST_CASE("tap ADD: a macvtap", "[tap]") {
  const TapHost on;
  tool("ip link add up0 type veth peer name up1");
  if (!run({.argv = {"ip", "link", "add", "link", "up0", "probe", "type", "macvtap"}}).ok()) {
    skip("this kernel has no macvtap");
  }
  tool("ip link del probe");
  const Attachment attachment = on.attachment(R"("kind":"macvtap","master":"up0")");
  const cni::Json result = attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["linkinfo"]["info_kind"].string() == "macvtap");
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("tap STATUS: without /dev/net/tun it says so", "[tap]") {
  const TapHost on;
  CHECK(on.attachment("").run("STATUS").ok());
  tool("mount -t tmpfs none /dev/net");
  const Output output = on.attachment("").run("STATUS");
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("/dev/net/tun"));
}

TEST_CASE("tap: the list in conf-examples, run by cnitool", "[tap][example]") {
  const TapHost on;
  for (const char* const verb : {"status", "add", "check", "del", "del", "gc"}) {
    const Output output = run_cnitool({.command = verb,
                                       .network = "machine",
                                       .netns = on.sandbox.path(),
                                       .conf_dir = concat(source_dir(), "/conf-examples")});
    INFO(verb << " " << output.text());
    CHECK(output.ok());
    const bool attached = verb == std::string("add") || verb == std::string("check");
    CHECK(has_link("eth0", on.inside()) == attached);
  }
  CHECK(on.leftovers() == "");
}
