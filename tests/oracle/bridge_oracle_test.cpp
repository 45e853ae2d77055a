// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "oracle/comparison.h"
#include "support/catch.h"
#include "support/host.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

constexpr std::string_view kV4 = R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24"})";
constexpr std::string_view kV6 =
    R"("ipam": {"type": "host-local", "ranges": [[{"subnet": "2001:db8::/64"}]]})";
constexpr std::string_view kDual = R"("ipam": {"type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]]})";

std::string config(std::string_view keys, std::string_view ipam = kV4,
                   std::string_view version = "1.0.0") {
  return concat(R"({"cniVersion": ")", version, R"(", "name": "net", "type": "bridge")",
                keys.empty() ? "" : ", ", keys, ipam.empty() ? "" : ", ", ipam, "}");
}

}  // namespace

TEST_CASE("bridge oracle: one key at a time, IPv4", "[oracle][bridge]") {
  const auto* keys =
      GENERATE("", R"("bridge": "other0")", R"("isGateway": true)", R"("isDefaultGateway": true)",
               R"("mtu": 1400)", R"("hairpinMode": true)", R"("promiscMode": true)",
               R"("isDefaultGateway": true, "ipMasq": true)",
               R"("isGateway": true, "dns": {"nameservers": ["10.1.2.1"], "domain": "a.example"})",
               R"("isGateway": true, "dns": {})");
  check_same({.config = config(keys)});
}

TEST_CASE("bridge oracle: IPv6 and dual stack", "[oracle][bridge]") {
  const auto ipam = GENERATE(kV6, kDual);
  const auto* keys = GENERATE("", R"("isGateway": true)",
                              R"("isDefaultGateway": true, "ipMasq": true, "mtu": 1400)");
  check_same({.config = config(keys, ipam)});
}

TEST_CASE("bridge oracle: what IPAM says", "[oracle][bridge]") {
  const auto* ipam = GENERATE(
      R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24", "routes": [{"dst": "0.0.0.0/0"}]})",
      R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24",
                  "routes": [{"dst": "10.9.0.0/16", "gw": "10.1.2.9"}]})",
      R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24", "gateway": "10.1.2.254"})",
      R"("ipam": {"type": "host-local",
                  "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.3.0.0/16"}]]})");
  check_same({.config = config("", ipam)});
}

TEST_CASE("bridge oracle: layer 2", "[oracle][bridge]") {
  const auto* keys = GENERATE("", R"("ipam": {})", R"("mtu": 9000)", R"("hairpinMode": true)");
  check_same({.config = config(keys, "")});
}

// Debian's reference keeps the default VLAN without being asked.
TEST_CASE("bridge oracle: VLANs", "[oracle][bridge]") {
  {
    const TestHost host;
    const Output probe =
        run({.argv = {"ip", "link", "add", "type", "bridge", "vlan_filtering", "1"}});
    if (!probe.ok()) skip("this kernel's bridges do not filter VLANs");
  }
  check_same({.config = config(R"("vlan": 100, "preserveDefaultVlan": true)", "")});
}

TEST_CASE("bridge oracle: the MAC of CNI_ARGS", "[oracle][bridge]") {
  check_same({.config = config(""), .args = "IgnoreUnknown=1;MAC=0a:00:00:00:00:07"});
}

TEST_CASE("bridge oracle: a bridge that exists", "[oracle][bridge]") {
  const auto address = GENERATE(as<std::string>{}, "10.1.2.1/24", "10.9.9.1/24");
  check_same({.config = config(R"("isGateway": true, "forceAddress": true)"),
              .prepare = {"ip link add cni0 address 02:00:00:00:00:01 type bridge",
                          concat("ip addr add ", address, " dev cni0")}});
}

TEST_CASE("bridge oracle: every version of the specification both speak", "[oracle][bridge]") {
  const auto* version = GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0");
  check_same({.config = config(R"("isDefaultGateway": true)", kDual, version)});
}

TEST_CASE("bridge oracle: configurations that neither takes", "[oracle][bridge]") {
  const auto keys =
      GENERATE(as<std::string>{}, R"("hairpinMode": true, "promiscMode": true)", R"("vlan": 4095)",
               R"("mtu": "x")", R"("bridge": "a-name-that-is-too-long")", R"("isGateway": 1)");
  check_refused_by_both({.config = config(keys)});
}

TEST_CASE("bridge oracle: a bridge's name that something else has", "[oracle][bridge]") {
  check_refused_by_both({.config = config(""), .prepare = {"ip link add cni0 type veth"}});
}
