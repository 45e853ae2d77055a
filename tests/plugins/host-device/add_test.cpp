// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/atomic_file.h"
#include "plugins/host-device/fixture.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

/// A device in a /sys/bus of the test's own, that leads to the link nic0.
std::string fake_device(std::string_view bus, std::string_view id, std::string_view below = "") {
  tool("mount -t tmpfs none /sys/bus");
  const std::string dir = concat("/sys/bus/", bus, "/devices/", id);
  tool(concat("mkdir -p ", dir, below, "/net/nic0"));
  cni::write_file_atomically(concat(dir, below, "/net/nic0/ifindex"),
                             link_of("nic0").root()["ifindex"].text() + "\n", 0644);
  return dir;
}

}  // namespace

TEST_CASE("host-device ADD: the device is in the container, with addresses", "[host-device]") {
  const DeviceHost on;
  const cni::Json result = on.attachment().add();
  INFO(result.dump(2));
  CHECK_FALSE(has_link("nic0"));
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["address"].string() == "02:00:00:00:00:07");
  CHECK(link.root()["mtu"].text() == "1400");
  // By which the reference's DEL gives it back.
  CHECK(link.root()["ifalias"].string() == "nic0");
  CHECK_THAT(link.root()["flags"].text(), contains("\"UP\""));
  const auto interfaces = result.root()["interfaces"].items();
  REQUIRE(interfaces.size() == 1);
  CHECK(interfaces[0]["mac"].string() == "02:00:00:00:00:07");
  CHECK(interfaces[0]["mtu"].text() == "1400");
  CHECK(interfaces[0]["sandbox"].string() == on.sandbox.path());
  CHECK(addresses_of("eth0", on.inside()) ==
        std::vector<std::string>{"10.1.2.2/24", "2001:db8:1::2/64"});
  CHECK_THAT(tool("ip route", on.inside()), contains("default via 10.1.2.1 dev eth0"));
  CHECK(on.attachment().run("CHECK", result).ok());
  on.attachment().del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device ADD: named by", "[host-device]") {
  const DeviceHost on;
  std::string members;
  SECTION("a second name") { members = R"("device":"enp3s0")"; }
  SECTION("a second name that no first name could be") {
    members = R"("device":"a-very-long-second-name")";
  }
  SECTION("its MAC, in another spelling") { members = R"("hwaddr":"02-00-00-00-00-07")"; }
  SECTION("a path of the kernel") {
    fake_device("pci", "0000:03:00.0");
    tool("mkdir -p /sys/devices");
    tool("mount -t tmpfs none /sys/devices");
    tool("mkdir -p /sys/devices/pci0/x/net/nic0");
    members = R"("kernelpath":"/sys/devices/pci0/y/../x/")";
  }
  SECTION("its PCI address") {
    fake_device("pci", "0000:03:00.0");
    members = R"("pciBusID":"0000:03:00.0")";
  }
  SECTION("the PCI address of its virtio device") {
    fake_device("pci", "0000:03:00.0", "/virtio7");
    members = R"("pciBusID":"0000:03:00.0")";
  }
  SECTION("the runtime, by PCI address, which goes before all") {
    fake_device("pci", "0000:03:00.0");
    members = R"("device":"missing","runtimeConfig":{"deviceID":"0000:03:00.0"})";
  }
  SECTION("the runtime, an auxiliary device") {
    fake_device("auxiliary", "mlx5_core.sf.4");
    members = R"("runtimeConfig":{"deviceID":"mlx5_core.sf.4"})";
  }
  const Attachment attachment = on.attachment(DeviceHost::conf(members));
  const cni::Json result = attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["address"].string() == "02:00:00:00:00:07");
  const bool by_pci = members.find("0000:") != std::string::npos;
  CHECK(result.root()["interfaces"].items().at(0)["pciID"].string_or("") ==
        (by_pci ? "0000:03:00.0" : ""));
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device ADD: a device that programs drive is reported, not touched",
          "[host-device]") {
  const DeviceHost on;
  const std::string dir = fake_device("pci", "0000:03:00.0");
  tool(concat("rm -r ", dir, "/net"));
  tool(concat("ln -s ../drivers/vfio-pci ", dir, "/driver"));
  const Attachment attachment = on.attachment(DeviceHost::conf(R"("pciBusID":"0000:03:00.0")"));
  const cni::Json result = attachment.add();
  const auto interface = result.root()["interfaces"].items().at(0);
  CHECK(interface["pciID"].string() == "0000:03:00.0");
  CHECK_FALSE(interface["mac"].written());
  CHECK(result.root()["ips"].items().size() == 2);
  CHECK_FALSE(has_link("eth0", on.inside()));
  CHECK(attachment.run("CHECK", result).ok());
  CHECK(attachment.run("STATUS").ok());
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device ADD: refused, and nothing is changed", "[host-device]") {
  const DeviceHost on;
  const auto refused = [&](std::string_view members, int code, const std::string& named) {
    const Output output = on.attachment(DeviceHost::conf(members)).run("ADD");
    INFO(members << " " << output.text());
    CHECK(code_of(output) == code);
    CHECK_THAT(message_of(output), contains(named));
    CHECK(on.leftovers() == "");
  };
  refused(R"("mtu":1)", 7, "specify either");
  refused(R"("device":"missing")", 7, "device: the host has no link \"missing\"");
  refused(R"("device":7)", 7, "device: ");
  refused(R"("device":"a/b")", 7, "device: ");
  refused(R"("hwaddr":"02:00")", 7, "hwaddr: ");
  refused(R"("hwaddr":"02:00:00:00:00:99")", 7, "02:00:00:00:00:99");
  refused(R"("kernelpath":"/sys/devices/../class/net")", 7, "kernelpath: ");
  refused(R"("kernelpath":"/sys/devices/none")", 7, "/sys/devices/none");
  refused(R"("pciBusID":"../../x")", 7, "pciBusID: ");
  refused(R"("pciBusID":"ffff:03:00.0")", 7, "ffff:03:00.0");
  refused(R"("runtimeConfig":{"deviceID":"../x"})", 7, "runtimeConfig.deviceID: ");
  refused(R"("runtimeConfig":{"deviceID":"none.1"})", 7, "none.1");
  refused(R"("device":"lo")", 100, "lo");
  tool("ip link add twin type bridge");
  tool("ip link set twin address 02:00:00:00:00:07");
  const Output output =
      on.attachment(DeviceHost::conf(R"("hwaddr":"02:00:00:00:00:07")")).run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains("twin"));
}

TEST_CASE("host-device ADD: one that fails gives the device back", "[host-device]") {
  const DeviceHost on;
  Attachment attachment = on.attachment();
  SECTION("the IPAM plugin fails") {
    attachment.plugin_path = install_script(
        on.host, "host-local",
        R"(case $CNI_COMMAND in ADD) echo '{"code":11,"msg":"full"}'; exit 1;; esac)");
    CHECK(code_of(attachment.run("ADD")) == 11);
  }
  SECTION("a route that cannot be") {
    attachment.plugin_path =
        install_script(on.host, "host-local",
                       R"(echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.9/24"}],)"
                       R"("routes":[{"dst":"10.7.0.0/16","gw":"10.99.0.1"}]}')");
    CHECK(code_of(attachment.run("ADD")) == 100);
  }
  SECTION("the container has an interface of this name") {
    tool("ip link add eth0 type bridge", on.inside());
    CHECK(code_of(attachment.run("ADD")) == 102);
  }
  SECTION("a second name is taken in the container") {
    tool("ip link add other type bridge", on.inside());
    tool("ip link property add dev other altname enp3s0", on.inside());
    CHECK(code_of(attachment.run("ADD")) == 100);
  }
  SECTION("no such namespace") {
    attachment.netns = "/run/netns/missing";
    CHECK(code_of(attachment.run("ADD")) == 3);
  }
  SECTION("a result that cannot be written") {
    const Output output =
        run({.argv = {"sh", "-c", concat("exec ", our_bin_dir(), "/host-device > /dev/full")},
             .env = attachment.command("ADD").env,
             .input = attachment.conf});
    CHECK_FALSE(output.ok());
  }
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device ADD: the interface's name is a second name of the device", "[host-device]") {
  const DeviceHost on;
  Attachment attachment = on.attachment();
  attachment.ifname = "enp3s0";
  const cni::Json result = attachment.add();
  CHECK(link_of("enp3s0", on.inside()).root()["ifname"].string() == "enp3s0");
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("host-device ADD: a device that is down, in a bridge, without ipam", "[host-device]") {
  const DeviceHost on;
  for (const char* const line : {"ip addr flush dev nic0", "ip link add br0 type bridge",
                                 "ip link set nic0 master br0", "ip link set nic0 down"}) {
    tool(line);
  }
  const Snapshot before = snapshot_host().only("addr route sysctl file");
  const Attachment attachment = on.attachment(plugin_conf("host-device", R"("device":"nic0")"));
  const cni::Json result = attachment.add();
  CHECK_THAT(link_of("eth0", on.inside()).root()["flags"].text(), contains("\"UP\""));
  CHECK(result.root()["ips"].items().empty());
  attachment.del();
  CHECK(difference(before, snapshot_host().only("addr route sysctl file")) == "");
  const cni::Json link = link_of("nic0");
  CHECK(link.root()["master"].string() == "br0");
  CHECK(link.root()["flags"].text().find("\"UP\"") == std::string::npos);
}

TEST_CASE("host-device ADD: the result in every version", "[host-device]") {
  const DeviceHost on;
  const std::string version = GENERATE("0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0");
  const cni::Json result = on.attachment(DeviceHost::conf(R"("device":"nic0")", version)).add();
  CHECK(result.root()["cniVersion"].string() == version);
  if (version < "0.3.0") {
    CHECK(result.root()["ip4"]["ip"].string() == "10.1.2.2/24");
  } else {
    CHECK_FALSE(result.root()["interfaces"].items().at(0)["mtu"].written());
  }
}

TEST_CASE("host-device ADD: useInterfaceNetwork takes addresses, routes and rules along",
          "[host-device]") {
  const DeviceHost on;
  tool("ip rule add from 192.0.2.5 lookup 77 priority 500");
  tool("ip rule add from 203.0.113.1 lookup 77 priority 501");
  const Snapshot before = snapshot_host();
  const bool with_ipam = GENERATE(false, true);
  const std::string_view members = R"("device":"nic0","useInterfaceNetwork":true)";
  const Attachment attachment =
      on.attachment(with_ipam ? DeviceHost::conf(members) : plugin_conf("host-device", members));
  const cni::Json result = attachment.add();
  INFO(result.dump(2));
  std::vector<std::string> expected{"192.0.2.5/24", "192.0.2.6/24", "198.51.100.1/32",
                                    "2001:db8:9::5/64"};
  if (with_ipam) expected.insert(expected.begin(), {"10.1.2.2/24"});
  if (with_ipam) expected.insert(expected.end() - 1, {"2001:db8:1::2/64"});
  CHECK(addresses_of("eth0", on.inside()) == expected);
  CHECK(result.root()["ips"].items().size() == expected.size());
  CHECK_THAT(tool("ip route", on.inside()), contains("10.60.0.0/16 via 192.0.2.1"));
  CHECK_THAT(tool("ip route show table 77", on.inside()), contains("10.61.0.0/16 dev eth0"));
  CHECK_THAT(tool("ip -6 route", on.inside()), contains("2001:db8:60::/48 via 2001:db8:9::1"));
  CHECK_THAT(tool("ip rule", on.inside()), contains("from 192.0.2.5 lookup 77"));
  CHECK(tool("ip rule", on.inside()).find("203.0.113.1") == std::string::npos);
  const Output check = attachment.run("CHECK", result);
  INFO(check.text());
  CHECK(check.ok());
  attachment.del();
  CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("host-device: the list in conf-examples, run by cnitool", "[host-device][example]") {
  const DeviceHost on;
  const auto call = [&](const char* verb) {
    return run_cnitool({.command = verb,
                        .network = "fast",
                        .netns = on.sandbox.path(),
                        .conf_dir = concat(source_dir(), "/conf-examples")});
  };
  for (const char* const verb : {"status", "add", "check", "del", "del", "gc"}) {
    const Output output = call(verb);
    INFO(verb << " " << output.text());
    CHECK(output.ok());
    CHECK(has_link("eth0", on.inside()) ==
          (verb == std::string("add") || verb == std::string("check")));
  }
  CHECK(difference(on.before.only("link addr route sysctl"),
                   snapshot_host().only("link addr route sysctl")) == "");
}
