// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Every file of conf-examples/, as a user would run it: what the configuration promises is read
// from it, and proven with packets.
#include <algorithm>
#include <filesystem>

#include "base/concat.h"
#include "model/result.h"
#include "support/catch.h"
#include "support/host.h"
#include "support/plugin.h"
#include "support/snapshot.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::Family;
using cni::IpConfig;
using cni::Json;
using cni::Result;

namespace {

const std::string& examples_dir() {
  static const std::string dir = source_dir() + "/conf-examples";
  return dir;
}

/// Not of links that not every kernel has (tests/plugins/inner_example_test.cpp), nor of one that
/// serves a single container (tests/plugins/host-device), nor for one that has another interface,
/// which the default route leads over (tests/plugins/sbr).
bool connects_everywhere(const std::string& file) {
  const Json list = Json::parse(cni::read_file(file));
  const auto plugins = list.root()["plugins"].items();
  if (plugins.back()["type"].string() == "sbr") return false;
  const std::string type = plugins.at(0)["type"].string();
  return type != "dummy" && type != "host-device" && type != "ipvlan" && type != "tap" &&
         type != "vlan";
}

std::vector<std::string> example_files(bool connecting = false) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(examples_dir())) {
    if (entry.path().extension() != ".conflist") continue;
    if (!connecting || connects_everywhere(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What a list promises, as far as it concerns packets.
struct Example {
  std::string network, ifname = "eth0";
  bool has_gateway = false;  // on the host
  bool masquerades = false;
  bool publishes = false;  // ports of the host
  bool bridged = false, hairpin = false;
  std::string uncollected;  // the bridge that stays: there is no GC verb before 1.1.0

  explicit Example(const std::string& file) {
    const Json list = Json::parse(cni::read_file(file));
    network = list.root()["name"].string();
    for (const auto& plugin : list.root()["plugins"].items()) {
      if (plugin["type"].string() == "loopback") ifname = "lo";
      has_gateway |= plugin["isGateway"].bool_or(false) ||
                     plugin["isDefaultGateway"].bool_or(false) || plugin["type"].string() == "ptp";
      masquerades |= plugin["ipMasq"].bool_or(false);
      publishes |= plugin["type"].string() == "portmap";
      bridged |= plugin["type"].string() == "bridge";
      hairpin |= plugin["hairpinMode"].bool_or(false);
      const std::string bridge = plugin["bridge"].string_or("");
      if (list.root()["cniVersion"].string() < "1.1.0" && !bridge.empty()) uncollected = bridge;
    }
  }
};

struct Container {
  TestSandbox sandbox;
  unsigned short port;  // the same on the host, where the list publishes ports
  Result result = {};

  [[nodiscard]] const TestNamespace& net() const { return sandbox.net(); }
};

/// For those who ask for them: a published port, and a limit that leaves the test alone.
std::string capability_args(const Container& container) {
  return concat(R"({"portMappings":[{"hostPort":)", container.port, R"(,"containerPort":)",
                container.port, R"(,"protocol":"tcp"}],"bandwidth":{"ingressRate":100000000,)",
                R"("ingressBurst":10000000,"egressRate":100000000,"egressBurst":10000000}})");
}

Output call(const Example& example, const std::string& command, const Container& container) {
  return run_cnitool({.command = command,
                      .network = example.network,
                      .netns = container.sandbox.path(),
                      .conf_dir = examples_dir(),
                      .ifname = example.ifname,
                      .capability_args = capability_args(container)});
}

void require_ok(const Output& output) {
  INFO(output.text());
  REQUIRE(output.ok());
}

void add(const Example& example, Container& container) {
  const Output output = call(example, "add", container);
  require_ok(output);
  container.result = cni::parse_result(output.json().root(), cni::kLatestVersion);
}

// The kernel's view of the container's interface is what the result says.
void check_result(const Example& example, const Container& container) {
  const Json links = tool_json(concat("ip -j addr show ", example.ifname), &container.net());
  const cni::JsonRef link = links.root().items().at(0);
  const auto* reported = container.result.find_interface(example.ifname, container.sandbox.path());
  REQUIRE(reported != nullptr);
  CHECK(reported->mac == link["address"].string());
  if (reported->mtu != 0) CHECK(reported->mtu == link["mtu"].integer(0, 70000).value());
  for (const IpConfig& ip : container.result.ips) {
    const auto addresses = link["addr_info"].items();
    const bool there = std::any_of(addresses.begin(), addresses.end(), [&](const auto& a) {
      return concat(a["local"].string(), "/", a["prefixlen"].integer(0, 128).value()) ==
                 ip.address.text() &&
             !a["tentative"].bool_or(false);
    });
    INFO(ip.address.text());
    CHECK(there);
  }
}

void check_neighbours(const Container& a, const Container& b) {
  REQUIRE(a.result.ips.size() == b.result.ips.size());
  for (std::size_t i = 0; i < a.result.ips.size(); ++i) {
    const std::string from = a.result.ips[i].address.address.text();
    const std::string to = b.result.ips[i].address.address.text();
    INFO(concat(from, " to ", to));
    if (a.result.ips[i].address.address.is_loopback()) {
      CHECK(can_ping(a.net(), from));
      CHECK(tcp_peer_seen({a.net(), a.net(), from}) == from);
      continue;
    }
    CHECK(can_ping(a.net(), to));
    CHECK(tcp_peer_seen({a.net(), b.net(), to}) == from);
    CHECK(udp_peer_seen({a.net(), b.net(), to}) == from);
  }
}

// Without addresses there is a wire: they are the user's to give.
void check_wire(const Example& example, const Container& a, const Container& b) {
  tool(concat("ip addr add 10.255.0.1/24 dev ", example.ifname), &a.net());
  tool(concat("ip addr add 10.255.0.2/24 dev ", example.ifname), &b.net());
  CHECK(can_ping(a.net(), "10.255.0.2"));
  CHECK(tcp_peer_seen({a.net(), b.net(), "10.255.0.2"}) == std::string("10.255.0.1"));
}

void check_gateways(const Container& container, const TestHost& host) {
  for (const IpConfig& ip : container.result.ips) {
    REQUIRE(ip.gateway);
    INFO(ip.gateway->text());
    CHECK(can_ping(container.net(), ip.gateway->text()));
    CHECK(tcp_peer_seen({container.net(), host.net(), ip.gateway->text()}) ==
          ip.address.address.text());
  }
}

bool has_default_route(const Result& result, Family family) {
  return std::any_of(result.routes.begin(), result.routes.end(), [&](const cni::Route& route) {
    return route.is_default() && route.dst.family() == family;
  });
}

void check_outside(const Example& example, const Container& container, const OutsideHost& outside) {
  for (const IpConfig& ip : container.result.ips) {
    const bool v4 = ip.address.address.is_v4();
    if (!has_default_route(container.result, ip.address.family())) continue;
    const std::string own = ip.address.address.text();
    const std::string_view address = v4 ? OutsideHost::kV4 : OutsideHost::kV6;
    const std::string_view host = v4 ? OutsideHost::kHostV4 : OutsideHost::kHostV6;
    if (!example.masquerades) {
      // The outside needs the way back then.
      tool(concat("ip route add ", ip.address.network().text(), " via ", host), &outside.net());
    }
    const std::string seen(example.masquerades ? host : own);
    INFO(concat(own, " to ", address));
    CHECK(can_ping(container.net(), address));
    CHECK(tcp_peer_seen({container.net(), outside.net(), address}) == seen);
    CHECK(udp_peer_seen({container.net(), outside.net(), address}) == seen);
  }
}

/// Whether packets pass the host's rules while they are still in a bridge, where they cannot turn
/// round without hairpin mode, and the kernel takes no ::1 from a bridge.
bool is_filtered_in_bridge(const Example& example, const TestHost& host) {
  const char* const key = "net/bridge/bridge-nf-call-ip6tables";
  return example.bridged && std::filesystem::exists(concat("/proc/sys/", key)) &&
         host.net().sysctl(key) == "1";
}

void check_published(const Example& example, const Container& container, const Container& neighbour,
                     const OutsideHost& outside, const TestHost& host) {
  const bool filtered = is_filtered_in_bridge(example, host);
  for (const IpConfig& ip : container.result.ips) {
    const bool v4 = ip.address.address.is_v4();
    const std::string_view address = v4 ? OutsideHost::kHostV4 : OutsideHost::kHostV6;
    INFO(concat(address, " port ", container.port));
    CHECK(tcp_peer_seen({outside.net(), container.net(), address, container.port}) ==
          std::string(v4 ? OutsideHost::kV4 : OutsideHost::kV6));
    CHECK(tcp_peer_seen({neighbour.net(), container.net(), address, container.port}).has_value());
    if (!filtered || example.hairpin) {
      CHECK(tcp_peer_seen({container.net(), container.net(), address, container.port}).has_value());
    }
    const std::string_view loopback = v4 ? "127.0.0.1" : "::1";
    if (filtered && !v4) continue;
    CHECK(tcp_peer_seen({host.net(), container.net(), loopback, container.port}).has_value());
  }
}

// After DEL: nothing that belongs to the container. What is shared may stay.
void check_released(const Container& container) {
  const Snapshot left = snapshot_host().only("link addr route fdb vlan nft iptables netns");
  for (const auto& interface : container.result.interfaces) {
    if (interface.sandbox.empty() && interface.name.starts_with("veth")) {
      CHECK_FALSE(left.mentions(interface.name));
    }
  }
  for (const IpConfig& ip : container.result.ips) {
    if (ip.address.address.is_loopback()) continue;
    CHECK_FALSE(left.mentions(concat("\"", ip.address.address.text(), "\"")));
  }
}

/// What stays without a GC verb, and belongs to no container.
void remove_shared(const std::string& bridge) {
  tool(concat("ip link del ", bridge));
  for (const char* family : {"inet", "bridge"}) {
    (void)run({.argv = {"nft", "delete", "table", family, "cnipp"}});
  }
}

}  // namespace

TEST_CASE("examples: connect what they promise and leave the host as it was",
          "[scenario][example]") {
  const std::string file = GENERATE(from_range(example_files(true)));
  INFO(file);
  const Example example(file);
  const TestHost host;
  const OutsideHost outside(host);
  host.enable_forwarding();
  Container a{TestSandbox("a"), 18080}, b{TestSandbox("b"), 18081};
  const Snapshot before = snapshot_host();

  require_ok(call(example, "status", a));
  for (Container* container : {&a, &b}) {
    add(example, *container);
    check_result(example, *container);
  }
  check_neighbours(a, b);
  if (a.result.ips.empty()) check_wire(example, a, b);
  if (example.has_gateway) check_gateways(a, host);
  check_outside(example, a, outside);
  if (example.publishes) check_published(example, a, b, outside, host);
  for (const Container* container : {&a, &b}) require_ok(call(example, "check", *container));

  for (const Container* container : {&a, &b}) {
    require_ok(call(example, "del", *container));
    check_released(*container);
    require_ok(call(example, "del", *container));
  }
  require_ok(call(example, "gc", a));
  if (!example.uncollected.empty()) remove_shared(example.uncollected);
  CHECK(difference_in_the_end(before) == "");
}

TEST_CASE("examples: are lists of the names their files have", "[scenario][example]") {
  const auto files = example_files();
  CHECK(files.size() >= 5);
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(Example(file).network);
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}
