// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/result.h"

#include "base/error.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::IpAddress;
using cni::IpNet;
using cni::Json;
using cni::Result;
using cni::SpecVersion;

namespace {

constexpr SpecVersion kAll[] = {SpecVersion::k010, SpecVersion::k020, SpecVersion::k030,
                                SpecVersion::k031, SpecVersion::k040, SpecVersion::k100,
                                SpecVersion::k110};

/// Uses every field.
Result full() {
  Result out;
  out.interfaces = {{"cni0", "0a:00:00:00:00:01", 1500, "", "", ""},
                    {"eth0", "0a:00:00:00:00:02", 1400, "/run/netns/c1", "/run/x.sock", "0000:01"}};
  out.ips = {{1, IpNet::parse("10.1.0.2/16"), IpAddress::parse("10.1.0.1")},
             {1, IpNet::parse("10.2.0.2/24"), std::nullopt},
             {std::nullopt, IpNet::parse("fd00::2/64"), IpAddress::parse("fd00::1")}};
  cni::Route plain;
  plain.dst = IpNet::parse("0.0.0.0/0");
  plain.gw = IpAddress::parse("10.1.0.1");
  cni::Route rich;
  rich.dst = IpNet::parse("fd01::/48");
  rich.mtu = 1300;
  rich.advmss = 1260;
  rich.priority = 50;
  rich.table = 100;
  rich.scope = 0;
  out.routes = {plain, rich};
  out.dns = {{"10.1.0.1"}, "example", {"a.example", "b.example"}, {"ndots:2"}};
  return out;
}

/// What is left of full() when it has passed through a version.
Result reduced(SpecVersion version) {
  Result out = full();
  if (version < SpecVersion::k110) {
    for (cni::Interface& interface : out.interfaces) {
      interface.mtu = 0;
      interface.socket_path.clear();
      interface.pci_id.clear();
    }
  }
  if (version >= SpecVersion::k030) return out;
  out.interfaces.clear();
  out.ips = {out.ips[0], out.ips[2]};
  for (cni::IpConfig& ip : out.ips) ip.interface.reset();
  cni::Route rich;
  rich.dst = out.routes[1].dst;
  out.routes[1] = rich;
  return out;
}

/// The latest shape shows every field: equal text, equal results.
std::string text(const Result& result) { return cni::to_json(result, SpecVersion::k110).dump(); }

}  // namespace

TEST_CASE("result: every version reads back what it wrote", "[result]") {
  const SpecVersion version = GENERATE(from_range(std::begin(kAll), std::end(kAll)));
  const Json json = cni::to_json(full(), version);
  REQUIRE(json.root()["cniVersion"].string() == cni::text(version));
  REQUIRE(text(cni::parse_result(json.root(), SpecVersion::k010)) == text(reduced(version)));
}

TEST_CASE("result: from every version to every other", "[result]") {
  const SpecVersion from = GENERATE(from_range(std::begin(kAll), std::end(kAll)));
  const SpecVersion to = GENERATE(from_range(std::begin(kAll), std::end(kAll)));
  const Result first = cni::parse_result(cni::to_json(full(), from).root(), from);
  const Json second = cni::to_json(first, to);
  REQUIRE(second.root()["cniVersion"].string() == cni::text(to));
  const Result back = cni::parse_result(second.root(), to);
  // The poorer of the two shapes decides what is left, in whatever order they were passed.
  REQUIRE(text(back) == text(reduced(std::min(from, to))));
}

TEST_CASE("result: shapes", "[result]") {
  Result result;
  result.interfaces = {{"eth0", "0a:00:00:00:00:02", 1400, "/run/netns/c1", "", ""}};
  result.ips = {{0, IpNet::parse("10.1.0.2/16"), IpAddress::parse("10.1.0.1")}};
  REQUIRE(cni::to_json(result, SpecVersion::k110).dump() ==
          R"({"cniVersion":"1.1.0","interfaces":[{"mac":"0a:00:00:00:00:02","mtu":1400,)"
          R"("name":"eth0","sandbox":"/run/netns/c1"}],"ips":[{"address":"10.1.0.2/16",)"
          R"("gateway":"10.1.0.1","interface":0}]})");
  REQUIRE(cni::to_json(result, SpecVersion::k100).dump() ==
          R"({"cniVersion":"1.0.0","interfaces":[{"mac":"0a:00:00:00:00:02",)"
          R"("name":"eth0","sandbox":"/run/netns/c1"}],"ips":[{"address":"10.1.0.2/16",)"
          R"("gateway":"10.1.0.1","interface":0}]})");
  REQUIRE(cni::to_json(result, SpecVersion::k031).dump() ==
          R"({"cniVersion":"0.3.1","dns":{},"interfaces":[{"mac":"0a:00:00:00:00:02",)"
          R"("name":"eth0","sandbox":"/run/netns/c1"}],"ips":[{"address":"10.1.0.2/16",)"
          R"("gateway":"10.1.0.1","interface":0,"version":"4"}]})");
  REQUIRE(cni::to_json(result, SpecVersion::k020).dump() ==
          R"({"cniVersion":"0.2.0","dns":{},"ip4":{"gateway":"10.1.0.1","ip":"10.1.0.2/16"}})");
}

TEST_CASE("result: the old shapes drop routes of a family without address", "[result]") {
  Result result = full();
  result.ips.resize(2);
  const Json json = cni::to_json(result, SpecVersion::k020);
  REQUIRE(json.root()["ip4"]["routes"].items().size() == 1);
  REQUIRE_FALSE(json.root()["ip6"].written());
}

TEST_CASE("result: without an address there is no old shape", "[result]") {
  Result layer2;
  layer2.interfaces = {{"eth0", "", 0, "", "", ""}};
  for (const SpecVersion version : {SpecVersion::k010, SpecVersion::k020}) {
    REQUIRE(cni::test::error_of([&] { (void)cni::to_json(layer2, version); }).msg() ==
            "cannot convert: no valid IP addresses");
    REQUIRE_THROWS_AS(cni::require_expressible_without_addresses(version), cni::Error);
  }
  REQUIRE_NOTHROW(cni::to_json(layer2, SpecVersion::k030));
  REQUIRE_NOTHROW(cni::require_expressible_without_addresses(SpecVersion::k030));
}

TEST_CASE("result: the document's own version decides", "[result]") {
  const Json old = Json::parse(R"({"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24"}})");
  REQUIRE(cni::parse_result(old.root(), SpecVersion::k110).ips.size() == 1);
  const Json bare = Json::parse(R"({"ip6": {"ip": "fd00::2/64", "routes": [{"dst": "::/0"}]}})");
  REQUIRE(cni::parse_result(bare.root(), SpecVersion::k010).routes.size() == 1);
  REQUIRE(cni::parse_result(bare.root(), SpecVersion::k110).ips.empty());
  REQUIRE(cni::parse_result(Json().root(), SpecVersion::k110).ips.empty());
  const Json unknown = Json::parse(R"({"cniVersion": "9.9.9"})");
  REQUIRE(cni::test::error_of([&] {
            (void)cni::parse_result(unknown.root(), SpecVersion::k110);
          }).code() == cni::ErrorCode::kIncompatibleVersion);
}

TEST_CASE("result: addresses are canonical", "[result]") {
  const Json json = Json::parse(
      R"({"ips": [{"address": "::ffff:10.0.0.1/120", "gateway": ""}, {"address": "FD00:0::2/64"}]})");
  const Result result = cni::parse_result(json.root(), SpecVersion::k110);
  REQUIRE(result.ips[0].address.text() == "10.0.0.1/24");
  REQUIRE_FALSE(result.ips[0].gateway);
  REQUIRE(result.ips[1].address.text() == "fd00::2/64");
}

TEST_CASE("result: errors name the place", "[result]") {
  const auto pair = GENERATE(values<std::pair<const char*, const char*>>({
      {R"({"ips": [{"address": "10.0.0.2/24"}, {"address": "10.0.0.2"}]})",
       "ips[1].address: not a CIDR: \"10.0.0.2\""},
      {R"({"ips": [{"address": "10.0.0.2/24", "gateway": "x"}]})",
       "ips[0].gateway: not an IP address: \"x\""},
      {R"({"routes": [{"dst": "x"}]})", "routes[0].dst: not a CIDR: \"x\""},
      {R"({"routes": [{"dst": "0.0.0.0/0", "gw": "x"}]})",
       "routes[0].gw: not an IP address: \"x\""},
      {R"({"routes": [{"dst": "0.0.0.0/0", "scope": 256}]})",
       "routes[0].scope: must be between 0 and 255"},
      {R"({"routes": [{}]})", "routes[0].dst: missing"},
      {R"({"interfaces": [{"mtu": "x"}]})", "interfaces[0].mtu: expected an integer, got \"x\""},
      {R"({"dns": {"search": "x"}})", "dns.search: expected an array, got \"x\""},
      {R"({"cniVersion": 1})", "cniVersion: expected a string, got 1"},
  }));
  const Json json = Json::parse(pair.first);
  REQUIRE(cni::test::error_of([&] {
            (void)cni::parse_result(json.root(), SpecVersion::k110);
          }).msg() == pair.second);
}

TEST_CASE("result: an interface is found by name and sandbox", "[result]") {
  const Result result = full();
  REQUIRE(result.find_interface("eth0", "/run/netns/c1") == &result.interfaces[1]);
  REQUIRE(result.find_interface("eth0", "") == nullptr);
  REQUIRE(result.find_interface("cni0", "") == &result.interfaces[0]);
}
