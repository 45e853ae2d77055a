// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::contains;
using cni::test::our_plugin;
using cni::test::Outcome;
using cni::test::reference_plugin;
using Strings = std::vector<std::string>;

namespace {

std::string conf(const std::string& ipam, const std::string& rest = "",
                 const std::string& version = "1.1.0") {
  return concat(R"({"cniVersion":")", version, R"(","name":"net1","type":"test","ipam":)", ipam,
                rest, "}");
}

Outcome call(const std::string& verb, const std::string& text, const std::string& args = "",
             const std::string& binary = our_plugin("static")) {
  return cni::test::run({.binary = binary, .verb = verb, .args = args}, text);
}

const std::string kTwo =
    R"({"addresses":[{"address":"10.1.0.5/24","gateway":"10.1.0.1"},{"address":"fd00::5/64"}],)"
    R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"0.0.0.0/0","gw":"10.1.0.9"}],)"
    R"("dns":{"nameservers":["10.1.0.53"],"search":["a","b"]}})";

std::string with_previous(const std::string& ips) {
  return concat(R"(,"prevResult":{"cniVersion":"1.1.0","ips":[)", ips, "]}");
}

}  // namespace

TEST_CASE("static ADD: what the configuration says", "[static][each-kernel]") {
  const Outcome outcome = call("ADD", conf(kTwo));
  REQUIRE(outcome.addresses() == Strings{"10.1.0.5/24", "fd00::5/64"});
  const cni::Json json = outcome.json();
  REQUIRE(json.root()["ips"].items()[0]["gateway"].string() == "10.1.0.1");
  REQUIRE(json.root()["routes"].items().size() == 2);
  REQUIRE(json.root()["dns"]["search"].strings() == Strings{"a", "b"});
}

TEST_CASE("static ADD: CNI_ARGS adds, ips replace", "[static]") {
  const std::string args =
      "IgnoreUnknown=1;IP=10.2.0.7/16, fd01::7/64;GATEWAY=10.2.0.1,fd01::1,10.2.0.2";
  const Outcome added = call("ADD", conf(kTwo), args);
  REQUIRE(added.addresses() == Strings{"10.1.0.5/24", "fd00::5/64", "10.2.0.7/16", "fd01::7/64"});
  const cni::Json json = added.json();
  REQUIRE(json.root()["ips"].items()[0]["gateway"].string() == "10.1.0.1");
  REQUIRE(json.root()["ips"].items()[2]["gateway"].string() == "10.2.0.2");  // the later one
  REQUIRE(json.root()["ips"].items()[3]["gateway"].string() == "fd01::1");

  const std::string from_args = R"(,"args":{"cni":{"ips":["10.3.0.1/24"]}})";
  REQUIRE(call("ADD", conf(kTwo, from_args), args).addresses() == Strings{"10.3.0.1/24"});
  const std::string both =
      concat(from_args, R"(,"runtimeConfig":{"ips":["10.4.0.1/24","fd04::1/64"]})");
  REQUIRE(call("ADD", conf(kTwo, both)).addresses() == Strings{"10.4.0.1/24", "fd04::1/64"});
  const std::string empty = concat(from_args, R"(,"runtimeConfig":{"ips":[]})");
  REQUIRE(call("ADD", conf(kTwo, empty)).addresses() == Strings{"10.3.0.1/24"});
}

TEST_CASE("static ADD: a requested address takes prefix and gateway from its configured subnet",
          "[static]") {
  const auto gateway = [](const Outcome& outcome, std::size_t i) {
    const cni::Json json = outcome.json();
    return json.root()["ips"].items().at(i)["gateway"].string_or("none");
  };
  const auto* where = GENERATE(R"(,"runtimeConfig":{"ips":["10.1.0.77","fd00::77"]})",
                               R"(,"args":{"cni":{"ips":["10.1.0.77","fd00::77"]}})",
                               R"(,"runtimeConfig":{"ips":["10.1.0.77/24","fd00::77/64"]})");
  const Outcome outcome = call("ADD", conf(kTwo, where));
  REQUIRE(outcome.addresses() == Strings{"10.1.0.77/24", "fd00::77/64"});
  CHECK(gateway(outcome, 0) == "10.1.0.1");
  CHECK(gateway(outcome, 1) == "none");
  const Outcome added = call("ADD", conf(kTwo), "IP=10.1.0.77");
  REQUIRE(added.addresses() == Strings{"10.1.0.5/24", "fd00::5/64", "10.1.0.77/24"});
  CHECK(gateway(added, 2) == "10.1.0.1");
  const Outcome narrower = call("ADD", conf(kTwo, R"(,"runtimeConfig":{"ips":["10.1.0.77/25"]})"));
  CHECK(gateway(narrower, 0) == "none");
  CHECK(call("ADD", conf(kTwo, R"(,"runtimeConfig":{"ips":["10.2.0.77"]})")).code() == 7);
}

TEST_CASE("static: errors", "[static]") {
  struct Case {
    std::string ipam, rest, args, text;
  };
  const auto c = GENERATE(values<Case>({
      {"null", "", "", "IPAM config missing 'ipam' key"},
      {R"({"addresses":[{"address":"10.1.0.5"}]})", "", "",
       "ipam.addresses[0].address: the 'address' field is expected to be in CIDR notation, got: "
       "'10.1.0.5'"},
      {R"({"addresses":[{}]})", "", "", "ipam.addresses[0].address: missing"},
      {R"({"addresses":[null]})", "", "", "ipam.addresses[0]"},
      {R"({"addresses":[{"address":"10.1.0.5/24","gateway":"x"}]})", "", "",
       "ipam.addresses[0].gateway: invalid gateway address"},
      {R"({"addresses":[{"address":"127.0.0.5/8"}]})", "", "",
       "ipam.addresses[0]: 127.0.0.5/8 is the loopback subnet"},
      {R"({"addresses":[{"address":"10.1.0.5/24","gateway":"fd00::1"}]})", "", "",
       "ipam.addresses[0]: gateway fd00::1 is of another family than 10.1.0.5/24"},
      {R"({"addresses":[{"address":"10.1.0.5/24","gateway":"10.1.0.0"}]})", "", "",
       "ipam.addresses[0]: gateway 10.1.0.0 is the network address of 10.1.0.0/24"},
      {"{}", "", "IP=239.0.0.1/8", "CNI_ARGS: 239.0.0.1/8 is for multicast"},
      {"{}", R"(,"runtimeConfig":{"ips":["ff02::5/64"]})", "",
       "runtimeConfig.ips[0]: ff02::5/64 is for multicast"},
      {"{}", "", "IP=10.1.0.5",
       "the 'ip' field is expected to be in CIDR notation, got: '10.1.0.5'"},
      {"{}", "", "IP=10.1.0.5/24,", "got: ''"},
      {"{}", "", "IP=10.1.0.5/24;GATEWAY=x", "invalid gateway address: x"},
      {"{}", R"(,"args":{"cni":{"ips":["10.1.0.5"]}})", "",
       "args.cni.ips[0]: an entry in the 'ips' field is NOT in CIDR notation, got: '10.1.0.5'"},
      {"{}", R"(,"runtimeConfig":{"ips":[null]})", "", "runtimeConfig.ips[0]"},
      {R"({"routes":[{"dst":"x"}]})", "", "", "ipam.routes[0].dst"},
  }));
  const Outcome outcome = call("ADD", conf(c.ipam, c.rest), c.args);
  REQUIRE(outcome.code() == 7);
  REQUIRE_THAT(outcome.message(), contains(c.text));
  REQUIRE(call("DEL", conf(c.ipam, c.rest), c.args).ok());
  if (c.args.empty()) REQUIRE(call("STATUS", conf(c.ipam, c.rest)).code() == 50);
}

TEST_CASE("static: one address per family before 0.3.0", "[static]") {
  const std::string two = R"({"addresses":[{"address":"10.1.0.5/24"},{"address":"10.2.0.5/24"}]})";
  REQUIRE(call("ADD", conf(two, "", "0.2.0")).code() == 7);
  REQUIRE(call("ADD", conf(two, "", "0.3.0")).ok());
  REQUIRE(call("ADD", conf(kTwo, "", "0.1.0")).ok());
}

TEST_CASE("static: no addresses is an empty result", "[static]") {
  REQUIRE(call("ADD", conf("{}")).addresses().empty());
  REQUIRE_FALSE(call("ADD", conf("{}", "", "0.2.0")).ok());
}

TEST_CASE("static CHECK: configured addresses and gateways are in prevResult", "[static]") {
  const std::string first = R"({"address":"10.1.0.5/24","gateway":"10.1.0.1"})";
  const std::string second = R"({"address":"fd00::5/64","gateway":"fd00::1"})";
  REQUIRE(call("CHECK", conf(kTwo)).code() == 7);
  REQUIRE(call("CHECK", conf(kTwo, with_previous(concat(first, ",", second)))).ok());
  const Outcome missing = call("CHECK", conf(kTwo, with_previous(first)));
  REQUIRE(missing.code() == 101);
  REQUIRE_THAT(missing.message(), contains("Failed to match addr fd00::5/64 on interface eth0"));
  const std::string other = R"({"address":"10.1.0.5/24","gateway":"10.1.0.2"})";
  const Outcome gateway = call("CHECK", conf(kTwo, with_previous(concat(other, ",", second))));
  REQUIRE(gateway.code() == 101);
  REQUIRE_THAT(gateway.message(), contains("10.1.0.2"));
}

TEST_CASE("static: GC and STATUS", "[static]") {
  REQUIRE(call("GC", conf(kTwo, R"(,"cni.dev/valid-attachments":[])")).ok());
  REQUIRE(call("STATUS", conf(kTwo)).ok());
  REQUIRE(call("STATUS", conf(R"({"addresses":[{"address":"x"}]})")).code() == 50);
}

TEST_CASE("static oracle: same results", "[static][oracle]") {
  cni::test::require_file(reference_plugin("static"));
  const auto* version = GENERATE("0.2.0", "0.3.1", "0.4.0");
  const auto* args =
      GENERATE("", "IP=", "IP=10.2.0.7/16", "IP=10.2.0.7/16 , fd01::7/64;GATEWAY=fd01::1",
               "IP=10.2.0.7", "GATEWAY=10.1.0.1", "GATEWAY=x", "FOO=1", "FOO=1;IgnoreUnknown=true");
  const auto* rest =
      GENERATE("", R"(,"args":{"cni":{"ips":["10.3.0.1/24"]}})",
               R"(,"runtimeConfig":{"ips":["fd04::1/64"]},"args":{"cni":{"ips":["10.3.0.1/24"]}})");
  const std::string ipam = GENERATE_COPY(as<std::string>{}, kTwo, "{}",
                                         R"({"addresses":[{"address":"::ffff:10.0.0.5/120"}]})");
  CAPTURE(version, args, rest, ipam);
  const Outcome ours = call("ADD", conf(ipam, rest, version), args);
  const Outcome theirs = call("ADD", conf(ipam, rest, version), args, reference_plugin("static"));
  REQUIRE(ours.ok() == theirs.ok());
  if (ours.ok()) REQUIRE(ours.json().dump() == theirs.json().dump());
}
