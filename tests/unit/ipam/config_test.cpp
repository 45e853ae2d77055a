// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "config.h"

#include "base/concat.h"
#include "base/error.h"
#include "support/catch.h"

using cni::NetConf;
using cni::SpecVersion;
using cni::host_local::Config;
using cni::host_local::parse_resolv_conf;
using cni::test::contains;

namespace {

NetConf net_conf(const std::string& text, SpecVersion version = SpecVersion::k110) {
  NetConf conf;
  conf.document = cni::Json::parse(text);
  conf.version = version;
  conf.name = "net";
  return conf;
}

Config parse(const std::string& ipam, const std::string& rest = "", const char* args = "") {
  return Config::parse(net_conf(cni::concat("{\"ipam\":", ipam, rest, "}")), args);
}

std::string error_of(const std::string& ipam, const std::string& rest = "", const char* args = "") {
  try {
    (void)parse(ipam, rest, args);
  } catch (const cni::Error& error) {
    CHECK(error.code() == cni::ErrorCode::kInvalidConfig);
    return error.what();
  }
  return "no error";
}

const std::string kRange = R"({"subnet":"10.0.0.0/24"})";

}  // namespace

TEST_CASE("host-local config: order of the range sets", "[host-local]") {
  const Config config = parse(R"({"subnet":"10.1.0.0/24","ranges":[[{"subnet":"10.2.0.0/24"}]]})",
                              R"(,"runtimeConfig":{"ipRanges":[[{"subnet":"10.3.0.0/24"}]]})");
  REQUIRE(config.sets.size() == 3);
  CHECK(config.sets[0].text() == "10.3.0.1-10.3.0.254");
  CHECK(config.sets[1].text() == "10.1.0.1-10.1.0.254");
  CHECK(config.sets[2].text() == "10.2.0.1-10.2.0.254");
  CHECK(config.data_dir == "/var/lib/cni/networks");
}

TEST_CASE("host-local config: all keys, in any case", "[host-local]") {
  const Config config = parse(
      R"({"Type":"host-local","SUBNET":"10.1.0.0/24","rangestart":"10.1.0.5","RangeEnd":"10.1.0.9",
          "gateway":"10.1.0.254","routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.254"}],
          "dataDir":"/tmp/x","resolvConf":"/etc/resolv.conf","reclaim":"never"})");
  CHECK(config.sets.at(0).ranges().at(0).text() == "10.1.0.5-10.1.0.9");
  CHECK(config.sets.at(0).is_gateway(cni::IpAddress::parse("10.1.0.254")));
  CHECK(config.routes.size() == 1);
  CHECK(config.data_dir == "/tmp/x");
  CHECK(config.resolv_conf == "/etc/resolv.conf");
  CHECK(config.reclaim == cni::host_local::Reclaim::kNever);
}

TEST_CASE("host-local config: null and empty optional values count as absent", "[host-local]") {
  const Config config = parse(
      R"({"subnet":"10.1.0.0/24","rangeStart":"","gateway":null,"ranges":null,"routes":null})");
  CHECK(config.sets.at(0).text() == "10.1.0.1-10.1.0.254");
}

TEST_CASE("host-local config: errors name the place", "[host-local]") {
  CHECK_THAT(error_of("null"), contains("IPAM config missing 'ipam' key"));
  CHECK_THAT(error_of("{}"), contains("ipam: no IP ranges specified"));
  CHECK_THAT(error_of(R"({"ranges":[]})"), contains("no IP ranges specified"));
  CHECK_THAT(error_of(R"({"ranges":[[]]})"), contains("invalid range set 0: empty range set"));
  CHECK_THAT(error_of(R"({"ranges":[null]})"), contains("ipam.ranges[0]"));
  CHECK_THAT(error_of(R"({"ranges":[[null]]})"), contains("ipam.ranges[0][0].subnet: missing"));
  CHECK_THAT(error_of(R"({"ranges":[{"subnet":"10.0.0.0/24"}]})"),
             contains("ipam.ranges[0]: expected an array"));
  CHECK_THAT(error_of(R"({"ranges":[[{"subnet":"10.0.0.0"}]]})"),
             contains("ipam.ranges[0][0].subnet: invalid CIDR address: \"10.0.0.0\""));
  CHECK_THAT(error_of(R"({"subnet":""})"), contains("invalid CIDR address"));
  CHECK_THAT(error_of(R"({"subnet":"::ffff:10.0.0.0/120"})"),
             contains("IPNet IP and Mask version mismatch"));
  CHECK_THAT(error_of(R"({"subnet":"10.0.0.0/24","rangeStart":"10.0.0.x"})"),
             contains("ipam.rangeStart: not an IP address"));
  CHECK_THAT(error_of(R"({"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"10.1.0.0/32"}]]})"),
             contains("invalid range set 1: Network 10.1.0.0/32 too small to allocate from; "
                      "ipam.ranges[1]"));
  CHECK_THAT(error_of(R"({"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"10.0.0.0/16"}]]})"),
             contains("range set 0 overlaps with 1"));
  CHECK_THAT(error_of(R"({"subnet":"10.0.0.0/24","reclaim":"sometimes"})"),
             contains("ipam.reclaim: must be"));
  CHECK_THAT(error_of(R"({"subnet":"10.0.0.0/24","routes":[null]})"), contains("ipam.routes[0]"));
}

TEST_CASE("host-local config: one set per family before 0.3.0", "[host-local]") {
  const std::string two =
      R"({"ipam":{"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"10.1.0.0/24"}]]}})";
  const std::string mixed =
      R"({"ipam":{"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"fd00::/64"}]]}})";
  REQUIRE_THROWS_WITH(
      Config::parse(net_conf(two, SpecVersion::k020), ""),
      contains("CNI version 0.2.0 does not support more than 1 address per family"));
  REQUIRE_NOTHROW(Config::parse(net_conf(two, SpecVersion::k030), ""));
  REQUIRE_NOTHROW(Config::parse(net_conf(mixed, SpecVersion::k010), ""));
}

TEST_CASE("host-local config: requested addresses", "[host-local]") {
  const Config config = parse(
      kRange,
      R"(,"args":{"cni":{"ips":["10.0.0.3/24","10.0.0.4"]}},"runtimeConfig":{"ips":["10.0.0.3","fd00::1"]})",
      "IgnoreUnknown=1;K8S=x;IP=10.0.0.9/16");
  REQUIRE(config.requested.size() == 4);
  CHECK(config.requested[0].text() == "10.0.0.9");
  CHECK(config.requested[1].text() == "10.0.0.3");
  CHECK(config.requested[3].text() == "fd00::1");
  CHECK(parse(kRange, "", "IP=").requested.empty());
  CHECK_THAT(error_of(kRange, R"(,"runtimeConfig":{"ips":[null]})"),
             contains("runtimeConfig.ips[0]"));
  CHECK_THAT(error_of(kRange, R"(,"args":{"cni":{"ips":[""]}})"), contains("args.cni.ips[0]"));
  CHECK_THAT(error_of(kRange, "", "IP=x"), contains("CNI_ARGS: IP"));
  CHECK_THROWS_AS(parse(kRange, "", "MAC=x"), cni::Error);
}

TEST_CASE("host-local config: the data directory survives everything else", "[host-local]") {
  CHECK(Config::data_dir_of(net_conf(R"({"ipam":{"dataDir":"/x","ranges":5}})")) == "/x");
  CHECK(Config::data_dir_of(net_conf(R"({"ipam":{"dataDir":5}})")) == "/var/lib/cni/networks");
  CHECK(Config::data_dir_of(net_conf(R"({"ipam":[]})")) == "/var/lib/cni/networks");
  CHECK(Config::data_dir_of(net_conf("null")) == "/var/lib/cni/networks");
}

TEST_CASE("host-local config: resolv.conf adds up", "[host-local]") {
  const cni::Dns dns = parse_resolv_conf(
      "# c\n; c\n\n  nameserver  10.0.0.53 ignored\nnameserver fd00::53\r\nsearch a b\nsearch c\n"
      "domain x\ndomain y z\noptions ndots:2 rotate\noptions\nsortlist 10.0.0.0\n");
  CHECK(dns.nameservers == std::vector<std::string>{"10.0.0.53", "fd00::53"});
  CHECK(dns.search == std::vector<std::string>{"a", "b", "c"});
  CHECK(dns.domain == "y");
  CHECK(dns.options == std::vector<std::string>{"ndots:2", "rotate"});
  CHECK_THROWS_AS(parse_resolv_conf(std::string(70000, 'x')), cni::Error);
  CHECK(parse_resolv_conf("").empty());
}
