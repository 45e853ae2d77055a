// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "oracle/comparison.h"
#include "support/catch.h"
#include "support/host.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

constexpr std::string_view kV4 = R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24"})";
constexpr std::string_view kDual = R"("ipam": {"type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]})";

Experiment experiment(std::string_view keys, std::string_view ipam = kV4,
                      std::string_view version = "1.0.0") {
  return {.plugin = "ptp",
          .config = concat(R"({"cniVersion": ")", version, R"(", "name": "net", "type": "ptp")",
                           keys.empty() ? "" : ", ", keys, ipam.empty() ? "" : ", ", ipam, "}")};
}

}  // namespace

TEST_CASE("ptp oracle: one key at a time", "[oracle][ptp]") {
  const auto* keys = GENERATE("", R"("mtu": 1400)", R"("ipMasq": true)",
                              R"("dns": {"nameservers": ["10.1.2.1"], "domain": "a.example"})");
  check_same(experiment(keys));
}

TEST_CASE("ptp oracle: what IPAM says", "[oracle][ptp]") {
  const auto* ipam = GENERATE(
      R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24", "routes": [{"dst": "0.0.0.0/0"}]})",
      R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24",
                  "routes": [{"dst": "10.9.0.0/16", "gw": "10.1.2.1"}]})",
      R"("ipam": {"type": "host-local", "subnet": "10.1.2.0/24", "gateway": "10.1.2.254"})",
      R"("ipam": {"type": "host-local",
                  "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.3.0.0/16"}]]})");
  check_same(experiment("", ipam));
}

TEST_CASE("ptp oracle: dual stack in every version both speak", "[oracle][ptp]") {
  const auto* version = GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0");
  check_same(experiment(R"("mtu": 1400)", kDual, version));
}

TEST_CASE("ptp oracle: configurations that neither takes", "[oracle][ptp]") {
  const auto* keys = GENERATE(R"("mtu": "x")", R"("ipMasq": 1)");
  check_refused_by_both(experiment(keys));
  check_refused_by_both(experiment("", R"("ipam": {"type": "not-there"})"));
}
