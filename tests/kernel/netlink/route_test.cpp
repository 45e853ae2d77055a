// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/route.h"

#include <algorithm>

#include "base/concat.h"
#include "netlink/link.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/host.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::IpAddress;
using cni::IpNet;
using cni::netlink::KernelRoute;
using cni::netlink::Message;
using cni::netlink::Socket;
namespace netlink = cni::netlink;

namespace {

struct Routes {
  TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);

  Routes() {
    for (const char* const name : {"a", "b"}) {
      tool(cni::concat("ip link add ", name, "0 type veth peer name ", name, "1"));
      tool(cni::concat("ip link set ", name, "0 up"));
      tool(cni::concat("ip link set ", name, "1 up"));
    }
    tool("ip addr add 10.1.0.1/24 dev a0");
    tool("ip addr add 10.2.0.1/24 dev b0");
    tool("ip addr add 2001:db8:1::1/64 dev a0 nodad");
    tool("ip addr add 2001:db8:2::1/64 dev b0 nodad");
  }
  int index_of(const std::string& name) { return netlink::get_link(socket, name).ifindex; }
  std::string default_link() {
    const auto ifindex = netlink::find_default_link(socket);
    return ifindex ? netlink::find_link(socket, *ifindex)->name : "none";
  }
};

}  // namespace

TEST_CASE("routes: what was added is listed", "[netlink][route]") {
  Routes on;
  const int a0 = on.index_of("a0");
  for (const KernelRoute& wanted :
       std::initializer_list<KernelRoute>{{.dst = IpNet::parse("10.9.0.0/16"),
       .gateway = IpAddress::parse("10.1.0.9"),
       .ifindex = a0,
       .metric = 7,
       .mtu = 1300,
       .advmss = 1200,
       .source = IpAddress::parse("10.1.0.1")},
                                          {.dst = IpNet::parse("10.8.0.0/16"),
                                          .gateway = {},
                                          .ifindex = a0,
                                          .table = 1000,
                                          .scope = netlink::kScopeLink,
                                          .source = {}},
                                          {.dst = IpNet::parse("2001:db8:9::/48"),
                                          .gateway = IpAddress::parse("2001:db8:1::9"),
                                          .ifindex = a0,
                                          .metric = 5,
                                          .source = {}}}) {
    INFO(netlink::text(wanted));
    Message message = netlink::new_route(wanted, "a0");
    on.socket.transact(message);
    const auto routes = netlink::list_routes(on.socket, a0);
    CHECK(std::ranges::any_of(routes, [&](const KernelRoute& have) {
      return have.dst == wanted.dst && have.gateway == wanted.gateway &&
             have.table == wanted.table && have.metric == wanted.metric && have.mtu == wanted.mtu &&
             have.advmss == wanted.advmss && have.source == wanted.source;
    }));
    CHECK(std::ranges::none_of(netlink::list_routes(on.socket, on.index_of("b0")),
                               [&](const KernelRoute& have) { return have.dst == wanted.dst; }));
  }
}

TEST_CASE("routes: each next hop of a multipath route counts", "[netlink][route]") {
  Routes on;
  tool("ip route add 10.9.0.0/16 nexthop via 10.1.0.9 dev a0 nexthop via 10.2.0.9 dev b0");
  const auto routes = netlink::list_routes(on.socket, on.index_of("b0"));
  CHECK(std::ranges::any_of(routes, [](const KernelRoute& have) {
    return have.dst.text() == "10.9.0.0/16" && have.gateway == IpAddress::parse("10.2.0.9");
  }));
}

TEST_CASE("routes: the link of the default route", "[netlink][route]") {
  Routes on;
  CHECK(on.default_link() == "none");
  tool("ip -6 route add default via 2001:db8:2::9");
  CHECK(on.default_link() == "b0");
  tool("ip route add default via 10.2.0.9 metric 50");
  CHECK(on.default_link() == "b0");
  tool("ip route add default via 10.1.0.9 metric 20");
  CHECK(on.default_link() == "a0");
  tool("ip route add default via 10.2.0.9 table 77");
  tool("ip route add blackhole default metric 1");
  CHECK(on.default_link() == "a0");
  tool("ip route del default metric 20");
  tool("ip route del default metric 50");
  tool("ip route add default metric 9 nexthop via 10.1.0.9 dev a0 nexthop via 10.2.0.9 dev b0");
  CHECK(on.default_link() == "a0");
}
