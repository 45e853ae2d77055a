// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ranges.h"

#include "base/error.h"
#include "support/catch.h"

using cni::IpAddress;
using cni::IpNet;
using cni::host_local::check_disjoint;
using cni::host_local::Range;
using cni::host_local::RangeSet;
using cni::host_local::RangeSpec;
using cni::host_local::Span;
using cni::test::contains;

namespace {

std::optional<IpAddress> maybe(const char* text) {
  return *text == '\0' ? std::nullopt : IpAddress::try_parse(text);
}

Range range(const char* subnet, const char* start = "", const char* end = "",
            const char* gateway = "") {
  return Range::canonical({IpNet::parse(subnet), maybe(start), maybe(end), maybe(gateway)});
}

template <typename F>
std::string error_of(F f) {
  try {
    f();
  } catch (const cni::Error& error) {
    REQUIRE(error.code() == cni::ErrorCode::kInvalidConfig);
    return error.msg();
  }
  return "no error";
}

Span span(const char* lo, const char* hi) { return {IpAddress::parse(lo), IpAddress::parse(hi)}; }

}  // namespace

TEST_CASE("host-local ranges: defaults leave out network and broadcast address", "[host-local]") {
  REQUIRE(range("10.0.0.0/24").text() == "10.0.0.1-10.0.0.254");
  REQUIRE(range("10.0.0.0/24").gateway.text() == "10.0.0.1");
  REQUIRE(range("10.0.0.0/30").text() == "10.0.0.1-10.0.0.2");
  REQUIRE(range("fd00::/126").text() == "fd00::1-fd00::3");
  REQUIRE(range("fd00::/64").text() == "fd00::1-fd00::ffff:ffff:ffff:ffff");
  REQUIRE(range("::/0").gateway.text() == "::1");
}

TEST_CASE("host-local ranges: a link of two has two hosts, the first of them the gateway",
          "[host-local]") {
  REQUIRE(range("10.0.0.2/31").text() == "10.0.0.2-10.0.0.3");
  REQUIRE(range("10.0.0.2/31").gateway.text() == "10.0.0.2");
  REQUIRE(range("fd00::4/127").text() == "fd00::4-fd00::5");
  REQUIRE(range("10.0.0.2/31", "", "", "10.0.0.3").gateway.text() == "10.0.0.3");
}

TEST_CASE("host-local ranges: explicit ends may be network and broadcast address", "[host-local]") {
  REQUIRE(range("10.0.0.0/24", "10.0.0.0", "10.0.0.255").text() == "10.0.0.0-10.0.0.255");
  REQUIRE(range("10.0.0.0/24", "", "", "192.168.0.1").gateway.text() == "192.168.0.1");
}

TEST_CASE("host-local ranges: what is refused", "[host-local]") {
  REQUIRE(error_of([] { (void)range("10.0.0.0/32"); }) ==
          "Network 10.0.0.0/32 too small to allocate from");
  REQUIRE(error_of([] { (void)range("fd00::/128"); }) ==
          "Network fd00::/128 too small to allocate from");
  REQUIRE(error_of([] { (void)range("127.1.0.0/24"); }) ==
          "127.1.0.0/24 is the loopback subnet, which never leaves a host");
  REQUIRE(error_of([] { (void)range("239.1.0.0/24"); }) == "239.1.0.0/24 is for multicast");
  REQUIRE(error_of([] { (void)range("ff05::/64"); }) == "ff05::/64 is for multicast");
  REQUIRE(error_of([] { (void)range("10.0.0.0/24", "", "", "fd00::1"); }) ==
          "gateway fd00::1 is of another family than 10.0.0.0/24");
  REQUIRE(error_of([] { (void)range("fd00::/64", "", "", "10.0.0.1"); }) ==
          "gateway 10.0.0.1 is of another family than fd00::/64");
  REQUIRE(error_of([] { (void)range("10.0.0.0/24", "", "", "10.0.0.0"); }) ==
          "gateway 10.0.0.0 is the network address of 10.0.0.0/24");
  REQUIRE_NOTHROW(range("10.0.0.0/24", "", "", "0.0.0.0"));
  REQUIRE(error_of([] { (void)range("10.0.0.1/24"); }) ==
          "Network has host bits set. For a subnet mask of length 24 the network address is "
          "10.0.0.0");
  REQUIRE(error_of([] { (void)range("10.0.0.0/24", "10.0.1.1"); }) ==
          "RangeStart 10.0.1.1 not in network 10.0.0.0/24");
  REQUIRE(error_of([] { (void)range("10.0.0.0/24", "", "10.0.1.1"); }) ==
          "RangeEnd 10.0.1.1 not in network 10.0.0.0/24");
  REQUIRE_THAT(error_of([] { (void)range("10.0.0.0/24", "10.0.0.9", "10.0.0.8"); }),
               contains("RangeStart 10.0.0.9 not in network 10.0.0.0/24"));
  REQUIRE(error_of([] { (void)range("10.0.0.0/24", "fd00::1"); }) ==
          "RangeStart fd00::1 not in network 10.0.0.0/24");
  REQUIRE_THAT(error_of([] { (void)range("10.0.0.0/24", "", "10.0.0.0"); }),
               contains("RangeEnd 10.0.0.0 not in network 10.0.0.0/24"));
}

TEST_CASE("host-local range sets: what is refused", "[host-local]") {
  REQUIRE(error_of([] { RangeSet({}); }) == "empty range set");
  REQUIRE(error_of([] {
            RangeSet({range("10.0.0.0/24"), range("fd00::/64")});
          }) == "mixed address families");
  REQUIRE(error_of([] {
            RangeSet({range("10.0.0.0/24", "10.0.0.20", "10.0.0.30"),
                      range("10.0.0.0/24", "10.0.0.10", "10.0.0.20")});
          }) == "subnets 10.0.0.20-10.0.0.30 and 10.0.0.10-10.0.0.20 overlap");
  REQUIRE_NOTHROW(RangeSet({range("10.0.0.0/24", "10.0.0.20", "10.0.0.30"),
                            range("10.0.0.0/24", "10.0.0.10", "10.0.0.19")}));
}

TEST_CASE("host-local range sets: overlaps between sets are found in any order", "[host-local]") {
  const auto set = [](const char* subnet) { return RangeSet({range(subnet)}); };
  REQUIRE_NOTHROW(check_disjoint({set("10.0.0.0/24"), set("fd00::/64"), set("10.0.1.0/24")}));
  REQUIRE(error_of([&] {
            check_disjoint({set("10.2.0.0/16"), set("10.0.0.0/16"), set("10.2.3.0/24")});
          }) == "range set 0 overlaps with 2");
  REQUIRE(error_of([&] {
            check_disjoint({set("10.2.3.0/24"), set("10.1.0.0/16"), set("10.2.0.0/16")});
          }) == "range set 0 overlaps with 2");
}

TEST_CASE("host-local range sets: the search goes round from the last address", "[host-local]") {
  const RangeSet set({range("10.0.0.0/29"), range("10.0.1.0/29", "10.0.1.2", "10.0.1.4")});
  const auto order = [&](const char* last) { return set.search_order(maybe(last)); };
  const std::vector<Span> from_start = {span("10.0.0.1", "10.0.0.6"), span("10.0.1.2", "10.0.1.4")};
  REQUIRE(order("") == from_start);
  REQUIRE(order("10.0.1.1") == from_start);  // not in the set
  REQUIRE(order("10.0.0.3") == std::vector<Span>{span("10.0.0.4", "10.0.0.6"),
                                                 span("10.0.1.2", "10.0.1.4"),
                                                 span("10.0.0.1", "10.0.0.3")});
  REQUIRE(order("10.0.1.4") ==
          std::vector<Span>{span("10.0.0.1", "10.0.0.6"), span("10.0.1.2", "10.0.1.4")});
}

TEST_CASE("host-local range sets: gateways of all ranges are known", "[host-local]") {
  const RangeSet set({range("10.0.0.0/24", "10.0.0.10", "10.0.0.20", "10.0.0.35"),
                      range("10.0.0.0/24", "10.0.0.30", "10.0.0.40")});
  REQUIRE(set.is_gateway(IpAddress::parse("10.0.0.35")));
  REQUIRE(set.is_gateway(IpAddress::parse("10.0.0.1")));
  REQUIRE_FALSE(set.is_gateway(IpAddress::parse("10.0.0.36")));
  REQUIRE(set.find(IpAddress::parse("10.0.0.20")) == &set.ranges()[0]);
  REQUIRE(set.find(IpAddress::parse("10.0.0.25")) == nullptr);
}

TEST_CASE("host-local range sets: subnets are wider than ranges", "[host-local]") {
  const RangeSet set({range("10.0.0.0/24", "10.0.0.10", "10.0.0.20")});
  const auto has = [&](const char* address) {
    return set.find_subnet(IpAddress::parse(address)) != nullptr;
  };
  CHECK(has("10.0.0.1"));
  CHECK(has("10.0.0.254"));
  CHECK_FALSE(has("10.0.0.0"));
  CHECK_FALSE(has("10.0.0.255"));
  CHECK_FALSE(has("10.0.1.1"));
  CHECK_FALSE(has("fd00::1"));
}
