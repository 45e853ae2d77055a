// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "lease.h"

#include "support/catch.h"
#include "support/error_of.h"
#include "unit/ipam/dhcp/messages.h"

using namespace cni::dhcp;
using namespace cni::dhcp::test;
using cni::IpAddress;
using cni::IpNet;
using cni::test::error_of;
using std::chrono::seconds;
using Strings = std::vector<std::string>;

namespace {

constexpr Time kAsked = seconds(1000);

Lease lease_with(const Options& more) {
  Packet ack = reply_to(Packet{}, MessageType::kAck);
  for (const auto& [code, value] : more) ack.options[code] = value;
  return *Lease::of(ack, kServerMac, kAsked);
}

Strings routes_of(const Lease& lease, unsigned priority = 0) {
  Strings out;
  for (const cni::Route& route : to_result(lease, priority).routes) {
    out.push_back(route.dst.text() + " " + route.gw->text() + (route.scope ? " link" : ""));
  }
  return out;
}

}  // namespace

TEST_CASE("dhcp lease: times", "[dhcp]") {
  struct Case {
    std::optional<std::uint32_t> whole, t1, t2;
    std::int64_t expected_t1, expected_t2, expected_whole;
  };
  const auto c = GENERATE(values<Case>({
      {3600, {}, {}, 1800, 3150, 3600},
      {3600, 600, 1200, 600, 1200, 3600},
      {{}, {}, {}, 1800, 3150, 3600},        // the server tells no time
      {3600, 0, 0, 1800, 3150, 3600},        // a flood of requests
      {3600, 1, 2, 2, 2, 3600},              // T2 as told, T1 with it
      {3600, 3000, 2000, 1800, 2000, 3600},  // the wrong way round
      {3600, 1800, 3600, 1800, 3150, 3600},  // T2 not before the end
      {3600, 4000, 5000, 1800, 3150, 3600},  // after the end
      {0, {}, {}, 5, 8, 10},
      {3, 1, 2, 2, 2, 10},
      {0xfffffffe, {}, {}, 2147483647, 3758096382, 4294967294},
  }));
  Packet ack = reply_to(Packet{}, MessageType::kAck);
  ack.options.erase(option::kLeaseTime);
  if (c.whole) put_u32(ack.options, option::kLeaseTime, *c.whole);
  if (c.t1) put_u32(ack.options, option::kRenewalTime, *c.t1);
  if (c.t2) put_u32(ack.options, option::kRebindingTime, *c.t2);
  const Lease lease = *Lease::of(ack, kServerMac, kAsked);
  CAPTURE(c.whole.value_or(0), c.t1.value_or(0), c.t2.value_or(0));
  CHECK(lease.t1 - kAsked == seconds(c.expected_t1));
  CHECK(lease.t2 - kAsked == seconds(c.expected_t2));
  CHECK(lease.expiry - kAsked == seconds(c.expected_whole));
}

TEST_CASE("dhcp lease: without end", "[dhcp]") {
  Packet ack = reply_to(Packet{}, MessageType::kAck);
  put_u32(ack.options, option::kLeaseTime, 0xffffffff);
  put_u32(ack.options, option::kRenewalTime, 10);
  const Lease lease = *Lease::of(ack, kServerMac, kAsked);
  REQUIRE(lease.t1 == kNever);
  REQUIRE(lease.t2 == kNever);
  REQUIRE(lease.expiry == kNever);
}

TEST_CASE("dhcp lease: none without address or server", "[dhcp]") {
  Packet ack = reply_to(Packet{}, MessageType::kAck);
  ack.yiaddr = {};
  REQUIRE_FALSE(Lease::of(ack, kServerMac, kAsked));
  ack = reply_to(Packet{}, MessageType::kAck);
  ack.options.erase(option::kServerId);
  REQUIRE_FALSE(Lease::of(ack, kServerMac, kAsked));
}

TEST_CASE("dhcp result: address, gateway, default route, DNS", "[dhcp]") {
  const Lease lease =
      lease_with({{option::kRouter, {10, 0, 0, 254, 10, 0, 0, 253}},
                  {option::kDnsServers, {10, 0, 0, 53, 10, 0, 0, 54}},
                  {option::kDomainName, bytes_of(std::string_view("lab.test\0", 9))},
                  {option::kMtu, {0x05, 0x78}}});
  const cni::Result result = to_result(lease, 7);
  REQUIRE(result.ips.size() == 1);
  REQUIRE(result.ips[0].address.text() == "10.0.0.17/24");
  REQUIRE(result.ips[0].gateway == kServer);
  REQUIRE(routes_of(lease) == Strings{"0.0.0.0/0 10.0.0.254"});
  REQUIRE(result.routes[0].priority == 7);
  REQUIRE(result.routes[0].mtu == 1400);
  REQUIRE(result.dns.nameservers == Strings{"10.0.0.53", "10.0.0.54"});
  REQUIRE(result.dns.domain == "lab.test");
}

TEST_CASE("dhcp result: a domain that could forge resolv.conf is left out", "[dhcp]") {
  const Lease lease = lease_with({{option::kDomainName, bytes_of("a\nnameserver 6.6.6.6")}});
  REQUIRE(to_result(lease, 0).dns.empty());
}

TEST_CASE("dhcp result: a subnet mask is needed", "[dhcp]") {
  Lease lease = lease_with({});
  lease.options.erase(option::kSubnetMask);
  REQUIRE(error_of([&] { static_cast<void>(to_result(lease, 0)); }).msg() ==
          "DHCP option Subnet Mask not found in DHCPACK");
  lease.options[option::kSubnetMask] = {255, 0, 255, 0};
  REQUIRE(error_of([&] { static_cast<void>(to_result(lease, 0)); }).msg() ==
          "DHCP option Subnet Mask in DHCPACK is no mask");
}

TEST_CASE("dhcp result: classless routes instead of all others, those on the link first",
          "[dhcp]") {
  const Lease lease = lease_with({{option::kRouter, {10, 0, 0, 254}},
                                  {option::kStaticRoutes, {172, 16, 0, 0, 10, 0, 0, 9}},
                                  {option::kClasslessRoutes, {0,  192, 168, 9,  1,              //
                                                              32, 192, 168, 9,  1, 0, 0, 0, 0,  //
                                                              12, 172, 31,  10, 0, 0, 8}}});
  REQUIRE(routes_of(lease) == Strings{"192.168.9.1/32 0.0.0.0 link", "0.0.0.0/0 192.168.9.1",
                                      "172.16.0.0/12 10.0.0.8"});
  REQUIRE(to_result(lease, 0).ips[0].gateway == kServer);
}

TEST_CASE("dhcp result: malformed classless routes count as absent", "[dhcp]") {
  const Bytes bad[] = {{}, {33, 1, 2, 3, 4, 5, 1, 2, 3, 4}, {8, 10, 1, 2, 3}, {0, 1, 2, 3}};
  for (const Bytes& value : bad) {
    const Lease lease =
        lease_with({{option::kRouter, {10, 0, 0, 254}}, {option::kClasslessRoutes, value}});
    REQUIRE(routes_of(lease) == Strings{"0.0.0.0/0 10.0.0.254"});
  }
}

TEST_CASE("dhcp result: classful routes", "[dhcp]") {
  const Lease lease = lease_with(
      {{option::kRouter, {10, 0, 0, 254}}, {option::kStaticRoutes, {11,  1,   1, 1, 10, 0, 0, 1,  //
                                                                    172, 16,  3, 3, 10, 0, 0, 2,  //
                                                                    192, 168, 5, 5, 10, 0, 0, 3,  //
                                                                    0,   0,   0, 0, 10, 0, 0, 4}}});
  REQUIRE(routes_of(lease) == Strings{"11.0.0.0/8 10.0.0.1", "172.16.0.0/16 10.0.0.2",
                                      "192.168.5.0/24 10.0.0.3", "0.0.0.0/0 10.0.0.254"});
}

TEST_CASE("dhcp result: domain search", "[dhcp]") {
  // The example of RFC 3397: eng.apple.com. marketing.apple.com.
  const Bytes value = {3, 'e', 'n', 'g', 5,   'a', 'p', 'p', 'l', 'e', 3,   'c',  'o', 'm',
                       0, 9,   'm', 'a', 'r', 'k', 'e', 't', 'i', 'n', 'g', 0xc0, 4};
  REQUIRE(parse_domain_search(value) == Strings{"eng.apple.com", "marketing.apple.com"});
  REQUIRE(parse_domain_search(Bytes{0xc0, 0}).empty());             // itself
  REQUIRE(parse_domain_search(Bytes{1, 'a', 0xc0, 0}).empty());     // never ends
  REQUIRE(parse_domain_search(Bytes{1, 'a', 0xc0, 9, 0}).empty());  // ahead
  REQUIRE(parse_domain_search(Bytes{5, 'a'}).empty());
  REQUIRE(parse_domain_search(Bytes{0x41, 'a', 0}).empty());
  REQUIRE(parse_domain_search(Bytes{1, ' ', 0}).empty());
  REQUIRE(parse_domain_search(Bytes{1, 'a', 0, 1}) == Strings{"a"});
}
