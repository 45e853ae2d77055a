// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// CHECK compares everything that ADD made: break one thing after the other.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

const std::string kConf = plugin_conf(
    "ptp", R"("ipMasq":true,"mtu":1400,"ipam":{"type":"host-local",)"
           R"("ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]],)"
           R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"},{"dst":"10.50.0.0/16","mtu":1300}]})");

struct Checked {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Attachment attachment{.conf = kConf, .netns = sandbox.path(), .plugin = "ptp"};
  cni::Json result{attachment.add()};
  std::string host_end{result.root()["interfaces"].items().at(0)["name"].string()};

  void require_noticed_inside(const std::string& change, const std::string& back,
                              const std::string& named) const {
    require_noticed(attachment, result, {change, back, named, &sandbox.net()});
  }
};

}  // namespace

TEST_CASE("ptp CHECK: notices what is changed on the host and names it", "[ptp][check]") {
  const Checked on;
  REQUIRE(on.attachment.run("CHECK", on.result).ok());
  const std::string& link = on.host_end;
  const std::string mac = link_of(link).root()["address"].string();
  for (const Mutation& mutation : std::initializer_list<Mutation>{
           {concat("ip link set ", link, " address 02:00:00:00:00:99"),
            concat("ip link set ", link, " address ", mac), link},
           {concat("ip link set ", link, " mtu 1399"), concat("ip link set ", link, " mtu 1400"),
            link},
           {concat("ip addr del 2001:db8:1::1/128 dev ", link),
            concat("ip addr add 2001:db8:1::1/128 nodad dev ", link), "2001:db8:1::1/128"},
           {"ip route del 10.1.2.2", concat("ip route add 10.1.2.2 scope host dev ", link),
            "10.1.2.2/32"},
           {"ip -6 route del 2001:db8:1::2", concat("ip -6 route add 2001:db8:1::2 dev ", link),
            "2001:db8:1::2/128"},
       }) {
    require_noticed(on.attachment, on.result, mutation);
  }
  for (const char* const entry : {"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"}) {
    on.host.net().set_sysctl(entry, "0");
    const Output output = on.attachment.run("CHECK", on.result);
    CHECK(code_of(output) == 101);
    CHECK_THAT(message_of(output), contains(entry));
    on.host.net().set_sysctl(entry, "1");
  }
  SECTION("the IPv4 gateway's address") {
    // With a link's last address go its routes.
    require_noticed(on.attachment, on.result,
                    {concat("ip addr del 10.1.2.1/32 dev ", link), "", "10.1.2.1/32"});
  }
  SECTION("the route leads elsewhere") {
    tool("ip route del 10.1.2.2");
    require_noticed(on.attachment, on.result,
                    {"ip route add 10.1.2.2 scope host dev lo", "", "10.1.2.2/32"});
  }
  SECTION("down") {
    require_noticed(on.attachment, on.result, {concat("ip link set ", link, " down"), "", link});
  }
  SECTION("a lease") {
    require_noticed(on.attachment, on.result,
                    {"rm /var/lib/cni/networks/net1/10.1.2.2", "", "host-local"});
  }
  SECTION("masquerading") {
    require_noticed(on.attachment, on.result,
                    {"nft flush map inet cnipp masq-ledger", "", "masq-ledger"});
  }
  SECTION("the link is gone") {
    require_noticed(on.attachment, on.result, {concat("ip link del ", link), "", "eth0"});
  }
}

TEST_CASE("ptp CHECK: notices what is changed in the container and names it", "[ptp][check]") {
  const Checked on;
  const std::string mac = link_of("eth0", &on.sandbox.net()).root()["address"].string();
  on.require_noticed_inside("ip link set eth0 address 02:00:00:00:00:97",
                            concat("ip link set eth0 address ", mac), "eth0");
  on.require_noticed_inside("ip link set eth0 mtu 1398", "ip link set eth0 mtu 1400", "eth0");
  on.require_noticed_inside("ip route replace 10.50.0.0/16 via 10.1.2.1 mtu 1200",
                            "ip route replace 10.50.0.0/16 via 10.1.2.1 mtu 1300", "10.50.0.0/16");
  on.require_noticed_inside("ip route del default", "ip route add default via 10.1.2.1",
                            "0.0.0.0/0");
  on.require_noticed_inside("ip -6 route del default", "ip -6 route add default via 2001:db8:1::1",
                            "::/0");
  on.require_noticed_inside("ip route del 10.1.2.0/24",
                            "ip route add 10.1.2.0/24 via 10.1.2.1 src 10.1.2.2", "10.1.2.0/24");
  on.require_noticed_inside("ip -6 route del 2001:db8:1::1",
                            "ip -6 route add 2001:db8:1::1 dev eth0 src 2001:db8:1::2",
                            "2001:db8:1::1/128");
  SECTION("the subnet is on the link") {
    tool("ip route del 10.1.2.0/24", &on.sandbox.net());
    on.require_noticed_inside("ip route add 10.1.2.0/24 dev eth0", "", "10.1.2.0/24");
  }
  SECTION("an address") {
    on.require_noticed_inside("ip addr del 10.1.2.2/24 dev eth0", "", "10.1.2.2/24");
  }
  SECTION("down") { on.require_noticed_inside("ip link set eth0 down", "", "eth0"); }
  SECTION("another name") {
    tool("ip link set eth0 down", &on.sandbox.net());
    on.require_noticed_inside("ip link set eth0 name eth7", "", "eth0");
  }
}

TEST_CASE("ptp CHECK: needs a prevResult, of this container", "[ptp][check]") {
  const Checked on;
  CHECK(code_of(on.attachment.run("CHECK")) == 7);
  const TestSandbox other("c2");
  Attachment second = on.attachment;
  second.netns = other.path();
  second.id = "c2";
  const cni::Json result = second.add();
  CHECK(code_of(on.attachment.run("CHECK", result)) == 101);
}

TEST_CASE("ptp CHECK: changes nothing", "[ptp][check]") {
  const Checked on;
  const Snapshot before = snapshot_host();
  CHECK(on.attachment.run("CHECK", on.result).ok());
  CHECK(difference(before, snapshot_host()) == "");
}
