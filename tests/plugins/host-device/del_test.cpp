// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The device is given back as it was, whatever has become of the container and of the device.
#include <unistd.h>

#include "plugins/host-device/fixture.h"
#include "plugins/mutation.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

/// Plays what the kernel does with hardware whose namespace has gone: on the host, under the name
/// it had in the container or another one.
void dump_into_host(const DeviceHost& on, std::string_view name) {
  tool(concat("ip link set eth0 down"), on.inside());
  tool(concat("ip link set eth0 netns ", getpid(), " name ", name), on.inside());
}

}  // namespace

TEST_CASE("host-device DEL: idempotent", "[host-device]") {
  const DeviceHost on;
  on.attachment().del();  // without any ADD
  CHECK(on.leftovers() == "");
  on.attachment().add();
  on.attachment().del();
  on.attachment().del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device DEL: gives back what the container changed", "[host-device]") {
  const DeviceHost on;
  on.attachment().add();
  for (const char* const line :
       {"ip link set eth0 mtu 1280", "ip link set eth0 address 02:00:00:00:00:99",
        "ip link set eth0 alias something", "ip link property del dev eth0 altname enp3s0",
        "ip link property add dev eth0 altname of-the-container", "ip link set eth0 down",
        "ip link set eth0 name moved"}) {
    tool(line, on.inside());
  }
  on.attachment().del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device DEL: whatever has become of CNI_NETNS and the configuration",
          "[host-device]") {
  const DeviceHost on;
  Attachment attachment = on.attachment();
  attachment.add();
  SECTION("empty") { attachment.netns = ""; }
  SECTION("no namespace any more") { attachment.netns = "/proc/version"; }
  SECTION("the host's own") { attachment.netns = "/proc/self/ns/net"; }
  SECTION("no selector") { attachment.conf = DeviceHost::conf(R"("mtu":0)"); }
  SECTION("another device") { attachment.conf = DeviceHost::conf(R"("device":"missing")"); }
  SECTION("a device id that has gone") {
    attachment.conf = DeviceHost::conf(R"("runtimeConfig":{"deviceID":"0000:00:00.9"})");
  }
  SECTION("keys of wrong types") {
    attachment.conf = DeviceHost::conf(R"("device":[],"hwaddr":1,"dns":"no","prevResult":1)");
  }
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device DEL: the kernel dumped the device into the host", "[host-device]") {
  const bool by_gc = GENERATE(false, true);
  DeviceHost on;
  Attachment attachment = on.attachment();
  attachment.add();
  SECTION("under the container's name") { dump_into_host(on, "eth0"); }
  SECTION("under any name, and the path is empty") {
    dump_into_host(on, "dev5");
    attachment.netns = "";
  }
  SECTION("where it was set up and used") {
    dump_into_host(on, "eth0");
    tool("ip link set eth0 up");
  }
  TestSandbox::destroy(std::move(on.sandbox));
  if (by_gc) {
    REQUIRE(attachment.collecting({}).run("GC").ok());
  } else {
    attachment.del();
  }
  const char* const sections = "link addr route rule sysctl";
  CHECK(difference(on.before.only(sections), snapshot_host().only(sections)) == "");
  CHECK(leases_of("net1").empty());
  CHECK(tool("ls /run/cnipp/devices").empty());
}

TEST_CASE("host-device DEL: a device that died with its namespace", "[host-device]") {
  DeviceHost on;
  Attachment attachment = on.attachment();
  TestSandbox dying("dying");
  attachment.netns = dying.path();
  attachment.add();
  TestSandbox::destroy(std::move(dying));
  attachment.del();
  CHECK_FALSE(has_link("nic0"));
  CHECK(leases_of("net1").empty());
  CHECK(tool("ls /run/cnipp/devices").empty());
}

TEST_CASE("host-device DEL: the name is taken", "[host-device]") {
  const DeviceHost on;
  const bool by_first_name = GENERATE(true, false);
  on.attachment().add();
  tool("ip link add thief type bridge");
  tool(by_first_name ? "ip link set thief name nic0"
                     : "ip link property add dev thief altname nic0");
  const Output output = on.attachment().run("DEL");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains("nic0"));
  CHECK_FALSE(has_link("eth0", on.inside()));
  const cni::Json links = tool_json("ip -j -d link");
  std::string other;
  for (const auto& link : links.root().items()) {
    if (link["address"].string() == "02:00:00:00:00:07") other = link["ifname"].string();
  }
  CHECK_THAT(message_of(output), contains(other));
  CHECK(link_of(other).root()["ifalias"].string() == "the,uplink-of-this-host");
  CHECK(addresses_of(other).size() == 4);
  CHECK(leases_of("net1").empty());
  on.attachment().del();
  // Taken back by hand, as the message says.
  tool(by_first_name ? "ip link del nic0" : "ip link del thief");
  tool(concat("ip link set ", other, " down"));
  tool(concat("ip link set ", other, " name nic0"));
  CHECK(difference(on.before.only("sysctl"), snapshot_host().only("sysctl")) == "");
}

TEST_CASE("host-device DEL: a second name is taken", "[host-device]") {
  const DeviceHost on;
  on.attachment().add();
  tool("ip link add thief type bridge");
  tool("ip link property add dev thief altname enp3s0");
  on.attachment().del();
  tool("ip link del thief");
  for (const char* const name : {"enp3s0", "a-very-long-second-name"}) {
    (void)run({.argv = {"ip", "link", "property", "del", "dev", "nic0", "altname", name}});
    tool(concat("ip link property add dev nic0 altname ", name));
  }
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device DEL: another attachment's device stays", "[host-device]") {
  const DeviceHost on;
  const cni::Json result = on.attachment().add();
  Attachment other = on.attachment(with(DeviceHost::conf(), "name", "net2"));
  other.del();
  CHECK(on.attachment().run("CHECK", result).ok());
  Attachment second = on.attachment();
  second.id = "c2";
  CHECK(code_of(second.run("ADD")) == 102);
  second.del();
  CHECK(on.attachment().run("CHECK", result).ok());
}

TEST_CASE("host-device GC: gives back the devices of attachments that are not valid",
          "[host-device]") {
  const DeviceHost on;
  const cni::Json result = on.attachment().add();
  REQUIRE(on.attachment().collecting({"c1"}).run("GC").ok());
  CHECK(on.attachment().run("CHECK", result).ok());
  REQUIRE(on.attachment(with(DeviceHost::conf(), "name", "net2")).collecting({}).run("GC").ok());
  CHECK(on.attachment().run("CHECK", result).ok());
  REQUIRE(on.attachment().collecting({"c2"}).run("GC").ok());
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device CHECK: notices what is changed in the container and names it",
          "[host-device]") {
  const DeviceHost on;
  const Attachment attachment = on.attachment();
  const cni::Json result = attachment.add();
  const auto notice = [&](const std::string& change, const std::string& back,
                          const std::string& named) {
    require_noticed(attachment, result, {change, back, named, on.inside()});
  };
  notice("ip link set eth0 mtu 1388", "ip link set eth0 mtu 1400", "MTU 1388");
  notice("ip link set eth0 address 02:00:00:00:00:99", "ip link set eth0 address 02:00:00:00:00:07",
         "02:00:00:00:00:99");
  notice("ip route del default", "ip route add default via 10.1.2.1", "0.0.0.0/0");
  SECTION("an address") { notice("ip addr del 10.1.2.2/24 dev eth0", "", "10.1.2.2/24"); }
  SECTION("down") { notice("ip link set eth0 down", "", "down"); }
  SECTION("another name") {
    tool("ip link set eth0 down", on.inside());
    notice("ip link set eth0 name net7", "", "eth0");
  }
  SECTION("gone") { notice("ip link del eth0", "", "eth0"); }
  SECTION("another device in its place") {
    tool("ip link del eth0", on.inside());
    notice("ip link add eth0 type bridge", "", "nic0");
  }
  SECTION("nothing is recorded any more") {
    require_noticed(attachment, result, {"rm -r /run/cnipp/devices", "", "recorded", nullptr});
  }
  SECTION("a lease") {
    require_noticed(attachment, result,
                    {"rm /var/lib/cni/networks/net1/10.1.2.2", "", "10.1.2.2", nullptr});
  }
  CHECK(code_of(attachment.run("CHECK")) == 7);
}

TEST_CASE("host-device STATUS: the device is on the host or in a container", "[host-device]") {
  const DeviceHost on;
  CHECK(on.attachment().run("STATUS").ok());
  CHECK(on.leftovers() == "");
  on.attachment().add();
  CHECK(on.attachment().run("STATUS").ok());
  const Output missing = on.attachment(DeviceHost::conf(R"("device":"missing")")).run("STATUS");
  CHECK(code_of(missing) == 50);
  CHECK_THAT(message_of(missing), contains("missing"));
  // The runtime names it, for each ADD.
  CHECK(on.attachment(DeviceHost::conf(R"("capabilities":{"deviceID":true})")).run("STATUS").ok());
}
