// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What a request makes, as `ip` sees it, and as we read it back.
#include "netlink/kinds.h"

#include <linux/if_ether.h>
#include <linux/if_link.h>

#include "base/concat.h"
#include "base/error.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::Mac;
using cni::netlink::Message;
using cni::netlink::NewLink;
using cni::netlink::Socket;
namespace netlink = cni::netlink;

namespace {

const Mac kMac = *Mac::try_parse("02:11:22:33:44:55");

struct Kinds {
  TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);
  int lower = 0;

  Kinds() {
    tool("ip link add up0 type veth peer name up1");
    lower = netlink::get_link(socket, "up0").ifindex;
  }
  /// Makes it, or skips the test where the kernel does not have the kind.
  cni::Json make(Message message) {
    message.tolerate(EOPNOTSUPP);
    socket.transact(message);
    if (message.error() == EOPNOTSUPP) skip(concat("this kernel cannot ", message.what()));
    return link_of("n0");
  }
  template <typename T>
  T read_back() {
    Message look = netlink::get_link_message("n0");
    socket.transact(look);
    T out;
    netlink::read(netlink::kind_data(look), out);
    return out;
  }
};

cni::JsonRef data_of(const cni::Json& link) { return link.root()["linkinfo"]["info_data"]; }

}  // namespace

TEST_CASE("new_link: what every kind can be given", "[netlink][kinds]") {
  Kinds on;
  const auto elsewhere = TestNamespace::create();
  NewLink common{.name = "n0", .mac = kMac, .mtu = 1300, .group = 7, .tx_queue_len = 33};
  SECTION("here") {
    common.ifindex = 4242;
    const cni::Json link = on.make(netlink::new_link(common, "bridge"));
    CHECK(link.root()["address"].string() == kMac.text());
    CHECK(link.root()["mtu"].text() == "1300");
    CHECK(link.root()["group"].text() == "\"7\"");
    CHECK(link.root()["txqlen"].text() == "33");
    CHECK(link.root()["ifindex"].text() == "4242");
    Message again = netlink::new_link(common, "bridge");
    again.tolerate(EEXIST);
    on.socket.transact(again);
    CHECK(again.error() == EEXIST);
  }
  SECTION("as a port") {
    tool("ip link add br0 type bridge");
    common.master = netlink::get_link(on.socket, "br0").ifindex;
    const cni::Json link = on.make(netlink::new_veth(common, {.name = "peer"}));
    CHECK(link.root()["master"].string() == "br0");
  }
  SECTION("born in another namespace") {
    common.netns = elsewhere.fd();
    Message message = netlink::new_link(common, "bridge");
    on.socket.transact(message);
    CHECK(has_link("n0", &elsewhere));
    CHECK_FALSE(has_link("n0"));
  }
}

TEST_CASE("new_link: bridge and ifb", "[netlink][kinds]") {
  Kinds on;
  SECTION("bridge") {
    const cni::Json link = on.make(netlink::new_bridge({.name = "n0", .mac = kMac}, false));
    CHECK(link.root()["linkinfo"]["info_kind"].string() == "bridge");
    CHECK(link.root()["address"].string() == kMac.text());
  }
  SECTION("ifb") {
    const cni::Json link = on.make(netlink::new_ifb({.name = "n0", .mtu = 1400}));
    CHECK(link.root()["linkinfo"]["info_kind"].string() == "ifb");
  }
}

TEST_CASE("new_link: a bridge with VLANs", "[netlink][kinds]") {
  Kinds on;
  const cni::Json link = on.make(netlink::new_bridge({.name = "n0"}, true));
  CHECK(data_of(link)["vlan_filtering"].text() == "1");
}

TEST_CASE("new_link: macvlan and macvtap", "[netlink][kinds]") {
  Kinds on;
  const std::string kind = GENERATE("macvlan", "macvtap");
  const netlink::Macvlan wanted{.mode = MACVLAN_MODE_VEPA, .broadcast_queue_length = 77};
  const cni::Json link = on.make(netlink::new_link({.name = "n0", .lower = on.lower}, kind,
                                                   [&](Message& data) { fill(data, wanted); }));
  CHECK(link.root()["linkinfo"]["info_kind"].string() == kind);
  CHECK(link.root()["link"].string() == "up0");
  CHECK(data_of(link)["mode"].string() == "vepa");
  const auto told = on.read_back<netlink::Macvlan>();
  CHECK(told.mode == wanted.mode);
  CHECK(told.broadcast_queue_length == wanted.broadcast_queue_length);
}

TEST_CASE("new_link: ipvlan", "[netlink][kinds]") {
  Kinds on;
  const netlink::Ipvlan wanted{.mode = IPVLAN_MODE_L3S, .flags = IPVLAN_F_PRIVATE};
  const cni::Json link = on.make(netlink::new_link({.name = "n0", .lower = on.lower}, "ipvlan",
                                                   [&](Message& data) { fill(data, wanted); }));
  CHECK(data_of(link)["mode"].string() == "l3s");
  CHECK(on.read_back<netlink::Ipvlan>() == wanted);
}

TEST_CASE("new_link: vlan", "[netlink][kinds]") {
  Kinds on;
  const netlink::Vlan wanted{
      .id = 77, .protocol = ETH_P_8021AD, .egress = {{1, 5}, {2, 6}}, .ingress = {{3, 4}}};
  const cni::Json link = on.make(netlink::new_link({.name = "n0", .lower = on.lower}, "vlan",
                                                   [&](Message& data) { fill(data, wanted); }));
  CHECK(data_of(link)["id"].text() == "77");
  CHECK(data_of(link)["protocol"].string() == "802.1ad");
  CHECK(on.read_back<netlink::Vlan>() == wanted);
}

TEST_CASE("new_link: dummy", "[netlink][kinds]") {
  Kinds on;
  const cni::Json link = on.make(netlink::new_link({.name = "n0", .mac = kMac}, "dummy"));
  CHECK(link.root()["address"].string() == kMac.text());
}

TEST_CASE("new_link: vrf", "[netlink][kinds]") {
  Kinds on;
  const netlink::Vrf wanted{.table = 1007};
  const cni::Json link =
      on.make(netlink::new_link({.name = "n0"}, "vrf", [&](Message& data) { fill(data, wanted); }));
  CHECK(data_of(link)["table"].text() == "1007");
  CHECK(on.read_back<netlink::Vrf>() == wanted);
}

TEST_CASE("new_link: vxlan", "[netlink][kinds]") {
  Kinds on;
  netlink::Vxlan wanted{.id = 9, .lower = on.lower, .port = 8472};
  wanted.local = cni::IpAddress::parse(GENERATE("192.0.2.9", "2001:db8::9"));
  const cni::Json link = on.make(
      netlink::new_link({.name = "n0"}, "vxlan", [&](Message& data) { fill(data, wanted); }));
  CHECK(data_of(link)["id"].text() == "9");
  CHECK(data_of(link)["port"].text() == "8472");
  CHECK(on.read_back<netlink::Vxlan>() == wanted);
}

TEST_CASE("find_link: by second names, long ones too", "[netlink][link]") {
  Kinds on;
  const std::string second = "a-second-name-of-many-letters";
  tool(concat("ip link property add dev up0 altname ", second, " altname other"));
  CHECK(netlink::get_link(on.socket, second).name == "up0");
  CHECK(netlink::get_link(on.socket, "other").name == "up0");
}
