// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/ip.h"

#include "base/error.h"
#include "support/catch.h"

using cni::Family;
using cni::IpAddress;
using cni::IpNet;
using cni::Mac;

TEST_CASE("ip: canonical text", "[ip]") {
  const auto pair = GENERATE(values<std::pair<const char*, const char*>>({
      {"10.1.2.3", "10.1.2.3"},
      {"0.0.0.0", "0.0.0.0"},
      {"::", "::"},
      {"::1", "::1"},
      {"::102:304", "::102:304"},
      {"2001:DB8::0001", "2001:db8::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"fe80::", "fe80::"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
  }));
  REQUIRE(IpAddress::parse(pair.first).text() == pair.second);
}

TEST_CASE("ip: text that is not an address is refused", "[ip]") {
  const auto* text =
      GENERATE("", "10.1.2", "10.1.2.256", "010.1.2.5", "10.1.2.3/24", "fe80::1%eth0", "1::2::3",
               "a", " 10.0.0.1", "10.0.0.1 ", "0x10.1.1.1");
  REQUIRE_FALSE(IpAddress::try_parse(text));
  REQUIRE_THROWS_AS(IpAddress::parse(text), cni::Error);
}

TEST_CASE("ip: arithmetic carries over octets and stays in the family", "[ip]") {
  REQUIRE(IpAddress::parse("10.0.0.255").next().text() == "10.0.1.0");
  REQUIRE(IpAddress::parse("10.0.1.0").previous().text() == "10.0.0.255");
  REQUIRE(IpAddress::parse("255.255.255.255").next().text() == "0.0.0.0");
  REQUIRE(IpAddress::parse("2001:db8::ffff:ffff").next().text() == "2001:db8::1:0:0");
  REQUIRE(IpAddress::parse("::").previous().text() == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  REQUIRE(IpAddress::parse("10.0.0.1").plus(65536).text() == "10.1.0.1");
  REQUIRE(IpAddress::parse("10.1.0.1").plus(-65536).text() == "10.0.0.1");
}

TEST_CASE("ip: ordering is numeric inside a family", "[ip]") {
  REQUIRE(IpAddress::parse("9.255.0.0") < IpAddress::parse("10.0.0.0"));
  REQUIRE(IpAddress::parse("255.0.0.0") < IpAddress::parse("::"));
}

TEST_CASE("ip: networks", "[ip]") {
  const IpNet net = IpNet::parse("10.1.2.3/20");
  REQUIRE(net.text() == "10.1.2.3/20");
  REQUIRE(net.network().text() == "10.1.0.0/20");
  REQUIRE(net.address.last(20).text() == "10.1.15.255");
  REQUIRE(net.contains(IpAddress::parse("10.1.15.255")));
  REQUIRE_FALSE(net.contains(IpAddress::parse("10.1.16.0")));
  REQUIRE_FALSE(net.contains(IpAddress::parse("::1")));
  REQUIRE(IpNet::parse("10.1.0.0/016").text() == "10.1.0.0/16");
  REQUIRE(IpNet::parse("10.1.0.0/000").prefix == 0);
  REQUIRE(IpNet::parse("0.0.0.0/0").contains(IpAddress::parse("1.2.3.4")));
  REQUIRE(IpNet::parse("::ffff:10.0.0.1/120").text() == "10.0.0.1/24");
  for (const auto* text :
       {"10.0.0.1", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/", "::1/129", "10.0.0.1/033",
        "10.0.0.1/0x8", "10.0.0.1/-0", "::ffff:10.0.0.1/90", "/24", ""}) {
    REQUIRE_FALSE(IpNet::try_parse(text));
  }
}

TEST_CASE("ip: classes of addresses", "[ip]") {
  REQUIRE(IpAddress::parse("127.3.2.1").is_loopback());
  REQUIRE(IpAddress::parse("::1").is_loopback());
  REQUIRE_FALSE(IpAddress::parse("::2").is_loopback());
  REQUIRE(IpAddress::parse("169.254.1.1").is_link_local());
  REQUIRE(IpAddress::parse("febf::1").is_link_local());
  REQUIRE_FALSE(IpAddress::parse("fec0::1").is_link_local());
  REQUIRE(IpAddress::parse("239.1.1.1").is_multicast());
  REQUIRE(IpAddress::parse("ff02::1").is_multicast());
}

TEST_CASE("mac: the three notations", "[mac]") {
  for (const auto* text : {"0a:58:0a:00:00:01", "0A-58-0A-00-00-01", "0a58.0a00.0001"}) {
    REQUIRE(Mac::try_parse(text).value().text() == "0a:58:0a:00:00:01");
  }
  for (const auto* text : {"", "0a:58:0a:00:00", "0a:58:0a:00:00:01:02", "0a:58-0a:00:00:01",
                           "0a:58:0a:00:00:0g", "0a580a000001"}) {
    REQUIRE_FALSE(Mac::try_parse(text));
  }
}

TEST_CASE("mac: what an interface cannot have is refused with its place", "[mac]") {
  REQUIRE(Mac::parse_unicast("0A-58-0A-00-00-01", "mac").text() == "0a:58:0a:00:00:01");
  for (const auto& [text, problem] :
       {std::pair{"01:00:5e:00:00:01", "args.mac: not a unicast MAC address: "},
        {"00:00:00:00:00:00", "args.mac: not a unicast MAC address: "},
        {"0a:58", "args.mac: not a MAC address: "}}) {
    try {
      (void)Mac::parse_unicast(text, "args.mac");
      FAIL(text);
    } catch (const cni::Error& error) {
      CHECK(error.code() == cni::ErrorCode::kInvalidConfig);
      CHECK(std::string(error.what()) == std::string(problem) + "\"" + text + "\"");
    }
  }
}

TEST_CASE("mac: random addresses are unicast and locally administered", "[mac]") {
  const Mac mac = Mac::random();
  REQUIRE((mac.bytes[0] & 0x03) == 0x02);
  REQUIRE(mac != Mac::random());
}
