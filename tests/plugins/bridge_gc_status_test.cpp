// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

/// Three containers on net1 (two interfaces for the last), one on net2, which shares the bridge.
struct Populated {
  TestHost host;
  TestSandbox sandboxes[4] = {TestSandbox("a"), TestSandbox("b"), TestSandbox("c"),
                              TestSandbox("d")};
  std::string conf = bridge_conf(kDualStack);
  std::string other_conf = bridge_conf(
      R"("ipMasq":true,"ipam":{"type":"host-local","subnet":"10.7.0.0/24"})", "1.1.0", "net2");

  Populated() {
    // Link-local addresses would change their state in the middle of a comparison.
    host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
    int i = 0;
    for (const char* const id : {"a", "b", "c"}) {
      Attachment{.conf = conf, .netns = sandboxes[i++].path(), .id = id}.add();
    }
    // The same id and interface on another network are another attachment.
    Attachment{.conf = other_conf, .netns = sandboxes[3].path(), .id = "a"}.add();
  }
};

std::string gc_conf(const std::string& conf, const char* key, const char* value) {
  return with(conf, key, cni::Json::parse(value));
}

Output gc(const std::string& conf) { return Attachment{.conf = conf, .netns = ""}.run("GC"); }

Output status(const std::string& conf, std::string plugin_path = our_bin_dir()) {
  Attachment attachment{.conf = conf, .netns = ""};
  attachment.plugin_path = std::move(plugin_path);
  return attachment.run("STATUS");
}

}  // namespace

TEST_CASE("bridge GC: keeps the valid attachments and other networks", "[bridge][gc]") {
  const Populated on;
  const Snapshot other_before = snapshot_network(on.sandboxes[3].net());
  const Output output = run_gc(on.conf, {"b", "unknown"});
  INFO(output.text());
  REQUIRE(output.ok());
  CHECK_FALSE(has_link("eth0", &on.sandboxes[0].net()));
  CHECK(has_link("eth0", &on.sandboxes[1].net()));
  CHECK_FALSE(has_link("eth0", &on.sandboxes[2].net()));
  CHECK(leases_of("net1") == std::vector<std::string>{"10.1.2.3", "2001:db8:1::3"});
  CHECK(leases_of("net2") == std::vector<std::string>{"10.7.0.2"});
  CHECK(masqueraded() == std::vector<std::string>{"10.1.2.3", "10.7.0.2", "2001:db8:1::3"});
  CHECK(ports_of("cni0").size() == 2);
  CHECK(difference(other_before, snapshot_network(on.sandboxes[3].net())) == "");
}

TEST_CASE("bridge GC: the interface name is part of the attachment", "[bridge][gc]") {
  const Populated on;
  Attachment second{.conf = on.conf, .netns = on.sandboxes[0].path(), .id = "a", .ifname = "net1"};
  second.add();
  REQUIRE(run_gc(on.conf, {"a", "b", "c"}).ok());
  CHECK(has_link("eth0", &on.sandboxes[0].net()));
  CHECK_FALSE(has_link("net1", &on.sandboxes[0].net()));
  CHECK(leases_of("net1").size() == 6);
}

TEST_CASE("bridge GC: no list, null and an empty list", "[bridge][gc]") {
  const Populated on;
  const Snapshot before = snapshot_host().without_hints();
  REQUIRE(gc(on.conf).ok());  // nothing is known: nothing is taken
  CHECK(difference(before, snapshot_host().without_hints()) == "");

  const char* const empty = GENERATE("null", "[]");
  const char* const key = GENERATE("cni.dev/valid-attachments", "cni.dev/attachments");
  REQUIRE(gc(gc_conf(on.conf, key, empty)).ok());
  CHECK(leases_of("net1").empty());
  CHECK(masqueraded() == std::vector<std::string>{"10.7.0.2"});
  CHECK(ports_of("cni0").size() == 1);
  CHECK(has_link("cni0"));  // net2 uses it
}

TEST_CASE("bridge GC: an empty list removes a bridge of ours that nobody uses", "[bridge][gc]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = bridge_conf(kRouted), .netns = sandbox.path()};
  attachment.add();
  attachment.del();
  SECTION("ours") {
    REQUIRE(run_gc(attachment.conf, {"c9"}).ok());
    CHECK(has_link("cni0"));
    REQUIRE(run_gc(attachment.conf, {}).ok());
    CHECK_FALSE(has_link("cni0"));
  }
  SECTION("the administrator's") {
    tool("ip link set cni0 alias mine");
    REQUIRE(run_gc(attachment.conf, {}).ok());
    CHECK(has_link("cni0"));
  }
  SECTION("with a port of somebody else") {
    tool("ip link add v0 master cni0 type veth peer name v1");
    REQUIRE(run_gc(attachment.conf, {}).ok());
    CHECK(has_link("cni0"));
  }
}

TEST_CASE("bridge GC: shares its nf_tables table with other plugins", "[bridge][gc]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const std::string conf = bridge_conf(kDualStack);
  tool("nft add table inet cnipp");
  tool("nft add chain inet cnipp other");
  const Snapshot before = snapshot_host().only("nft");

  const Attachment attachment{.conf = conf, .netns = sandbox.path()};
  const cni::Json added = attachment.add();
  CHECK(masqueraded().size() == 2);
  CHECK(attachment.run("CHECK", added).ok());
  attachment.del();
  CHECK(run_gc(conf, {}).ok());
  CHECK(difference(before, snapshot_host().only("nft")) == "");
}

TEST_CASE("bridge GC: a bridge whose ADD died before labelling it", "[bridge][gc]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = bridge_conf(kRouted), .netns = sandbox.path()};
  tool(concat("ip link add cni0 group ", kUnfinishedGroup, " type bridge"));
  SECTION("goes") {
    REQUIRE(run_gc(attachment.conf, {}).ok());
    CHECK_FALSE(has_link("cni0"));
  }
  SECTION("is finished by the next ADD") {
    attachment.add();
    const cni::Json bridge = link_of("cni0");
    CHECK(bridge.root()["group"].string() == "default");
    CHECK_THAT(bridge.root()["ifalias"].string(), contains("created by the bridge plugin"));
  }
  SECTION("but one without the mark is somebody's") {
    tool("ip link set cni0 group 0");
    REQUIRE(run_gc(attachment.conf, {}).ok());
    CHECK(has_link("cni0"));
  }
}

TEST_CASE("bridge GC: goes on over errors and reports them all", "[bridge][gc]") {
  const Populated on;
  Attachment call{.conf = gc_conf(on.conf, "cni.dev/valid-attachments", "[]"), .netns = ""};
  call.plugin_path =
      install_script(on.host, "host-local", R"(echo '{"code":123,"msg":"lease trouble"}'; exit 1)");
  const Output output = call.run("GC");
  INFO(output.text());
  CHECK_THAT(message_of(output), contains("lease trouble"));
  CHECK(masqueraded() == std::vector<std::string>{"10.7.0.2"});
  CHECK(ports_of("cni0").size() == 1);
}

TEST_CASE("bridge GC: forwards the call to the IPAM plugin as it came", "[bridge][gc]") {
  const TestHost host;
  Attachment call{
      .conf = gc_conf(bridge_conf(R"("ipam":{"type":"seen"})"), "cni.dev/valid-attachments",
                      R"([{"containerID":"x","ifname":"eth0"}])"),
      .netns = ""};
  const std::string seen = concat(host.scratch(), "/seen");
  call.plugin_path =
      install_script(host, "seen", concat("echo $CNI_COMMAND > ", seen, "; cat >> ", seen, "\n"));
  REQUIRE(call.run("GC").ok());
  CHECK(cni::read_file(seen) == concat("GC\n", call.conf));
}

TEST_CASE("bridge GC: a list it cannot read takes nothing", "[bridge][gc]") {
  const Populated on;
  const Snapshot before = snapshot_host().without_hints();
  for (const char* const list : {"5", R"([{"containerID":"a"}])", R"(["a"])", "[null]"}) {
    INFO(list);
    CHECK(code_of(gc(gc_conf(on.conf, "cni.dev/valid-attachments", list))) == 7);
  }
  CHECK(difference(before, snapshot_host().without_hints()) == "");
}

TEST_CASE("bridge STATUS: ready, and changes nothing", "[bridge][status]") {
  const TestHost host;
  const Snapshot before = snapshot_host();
  for (const char* const members : {"", R"("macspoofchk":true)"}) {
    const Output output = status(bridge_conf(members));
    INFO(output.text());
    CHECK(output.ok());
  }
  const Output output = status(bridge_conf(kDualStack));
  INFO(output.text());
  CHECK(output.ok());
  CHECK(difference(before.only("link addr route nft sysctl"),
                   snapshot_host().only("link addr route nft sysctl")) == "");
}

TEST_CASE("bridge STATUS: 50 when the addresses are used up", "[bridge][status]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const std::string conf = bridge_conf(R"("ipam":{"type":"host-local","subnet":"10.1.2.0/30"})");
  CHECK(status(conf).ok());
  Attachment{.conf = conf, .netns = sandbox.path()}.add();
  const Output output = status(conf);
  INFO(output.text());
  CHECK(code_of(output) == 50);
}

TEST_CASE("bridge STATUS: 50 when the bridge's name belongs to something else",
          "[bridge][status]") {
  const TestHost host;
  tool("ip link add cni0 type veth peer name cni1");
  const Output output = status(bridge_conf(""));
  INFO(output.text());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("cni0"));
}

TEST_CASE("bridge STATUS: 50 without the capability that ADD needs", "[bridge][status]") {
  const TestHost host;
  const std::string dropped = GENERATE("-net_admin", "-sys_admin");
  Command command = Attachment{.conf = bridge_conf(""), .netns = ""}.command("STATUS");
  const std::vector<std::string> prefix = {"setpriv", "--bounding-set", dropped, "--inh-caps",
                                           dropped};
  command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
  const Output output = run(command);
  INFO(dropped << ": " << output.text());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("EPERM"));
}

TEST_CASE("bridge STATUS: 50 when the kernel cannot do what the configuration asks for",
          "[bridge][status]") {
  const TestHost host;
  const std::string key = GENERATE("ipMasq", "macspoofchk");
  const Attachment attachment{.conf = with(bridge_conf(""), key, true), .netns = ""};
  REQUIRE(attachment.run("STATUS").ok());
  Command command = attachment.command("STATUS");
  // The second socket is the one to nf_tables, after rtnetlink's.
  const std::vector<std::string> prefix = {"strace", "-o", "/dev/null", "-e",
                                           "inject=socket:error=EPROTONOSUPPORT:when=2"};
  command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
  if (!run({.argv = {"strace", "-o", "/dev/null", "true"}}).ok()) skip("strace may not trace here");
  const Output output = run(command);
  INFO(output.text());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains(key));
}

TEST_CASE("bridge STATUS: 50 when the IPAM plugin is missing", "[bridge][status]") {
  const TestHost host;
  const Output output = status(bridge_conf(R"("ipam":{"type":"not-there"})"));
  INFO(output.text());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("not-there"));
}

TEST_CASE("bridge STATUS: the IPAM plugin's own answer is passed on", "[bridge][status]") {
  const TestHost host;
  const std::string path =
      install_script(host, "limited", R"(echo '{"code":51,"msg":"server is slow"}'; exit 1)");
  const Output output = status(bridge_conf(R"("ipam":{"type":"limited"})"), path);
  CHECK(code_of(output) == 51);
  CHECK_THAT(message_of(output), contains("server is slow"));
}

TEST_CASE("bridge STATUS: 50 for another address on a bridge that is in use", "[bridge][status]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment{
      .conf = bridge_conf(R"("isGateway":true,"ipam":{"type":"host-local","subnet":"10.9.0.0/24"})",
                          "1.1.0", "old"),
      .netns = sandbox.path()}
      .add();
  const auto wanted = GENERATE(
      as<std::string>{}, R"("isGateway":true,"ipam":{"type":"host-local","subnet":"10.1.2.0/24"})",
      std::string(kRouted));
  Output output = status(bridge_conf(wanted));
  INFO(output.text());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("10.9.0.1/24"));
  CHECK_THAT(message_of(output), contains("10.1.2.1/24"));

  CHECK(status(with(bridge_conf(wanted), "forceAddress", true)).ok());
  Attachment{.conf = bridge_conf("", "1.1.0", "old"), .netns = sandbox.path()}.del();
  CHECK(status(bridge_conf(wanted)).ok());
}

TEST_CASE("bridge STATUS: 50 for another address on the bridge's leg in the VLAN",
          "[bridge][status]") {
  const TestHost host;
  tool("ip link add cni0 type bridge vlan_default_pvid 0");
  tool("ip link add port type veth peer name other");
  tool("ip link set port master cni0");
  const std::string conf = with(bridge_conf(kRouted), "vlan", 100);
  SECTION("an address") {
    tool("ip link add cni0.100 type veth peer name leg");
    tool("ip addr add 10.9.0.1/24 dev cni0.100");
    const Output output = status(conf);
    INFO(output.text());
    CHECK(code_of(output) == 50);
    CHECK_THAT(message_of(output), contains("10.9.0.1/24"));
    CHECK_THAT(message_of(output), contains("cni0.100"));
  }
  SECTION("a link of another kind") {
    tool("ip link add cni0.100 type bridge");
    const Output output = status(conf);
    INFO(output.text());
    CHECK(code_of(output) == 50);
    CHECK_THAT(message_of(output), contains("not a veth"));
  }
}
