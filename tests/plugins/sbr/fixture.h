// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>

#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

namespace cni::test {

/// A container with eth0, over which the default route leads, and net1, which another plugin made
/// with two addresses and a route.
struct SourceHost {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Snapshot before;

  SourceHost() {
    for (const char* const line :
         {"ip link set lo up", "ip link add eth0 type veth peer name peer0",
          "ip link add net1 type veth peer name peer1", "ip link set peer0 addrgenmode none up",
          "ip link set peer1 addrgenmode none up", "ip link set eth0 addrgenmode none up",
          "ip link set net1 addrgenmode none up", "ip addr add 10.9.0.2/24 dev eth0",
          "ip addr add 2001:db8:9::2/64 dev eth0 nodad", "ip route add default via 10.9.0.1",
          "ip -6 route add default via 2001:db8:9::1", "ip addr add 10.1.2.3/24 dev net1",
          "ip addr add 2001:db8:1::3/64 dev net1 nodad",
          "ip route add 10.50.0.0/16 via 10.1.2.1 dev net1 mtu 1300"}) {
      tool(line, inside());
    }
    before = state();
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] std::string ip(std::string_view arguments) const {
    const Output output = run({.argv = {"sh", "-c", concat("ip ", arguments)}, .net = inside()});
    return output.out;  // nothing for a table that does not exist
  }
  [[nodiscard]] Snapshot state() const {
    return snapshot_network(sandbox.net()).only("link addr route rule");
  }
  /// What differs from the time before.
  [[nodiscard]] std::string leftovers() const { return difference(before, state()); }

  [[nodiscard]] Json previous(std::string_view version = "1.1.0", bool gateways = true) const {
    const std::string_view v4 = gateways ? R"(,"gateway":"10.1.2.1")" : "";
    const std::string_view v6 = gateways ? R"(,"gateway":"2001:db8:1::1")" : "";
    const bool old = version < "1.0.0";
    return Json::parse(
        concat(R"({"cniVersion":")", version, R"(","interfaces":[{"name":"net1","sandbox":")",
               sandbox.path(), R"("}],"ips":[{)", old ? R"("version":"4",)" : "",
               R"("interface":0,"address":"10.1.2.3/24")", v4, "},{",
               old ? R"("version":"6",)" : "", R"("interface":0,"address":"2001:db8:1::3/64")", v6,
               R"(}],"routes":[{"dst":"10.50.0.0/16","gw":"10.1.2.1"}]})"));
  }
  [[nodiscard]] Attachment attachment(std::string_view members = "",
                                      std::string_view version = "1.1.0") const {
    Attachment out{.conf = plugin_conf("sbr", members, version),
                   .netns = sandbox.path(),
                   .ifname = "net1",
                   .plugin = "sbr"};
    out.conf = with(out.conf, "prevResult", previous(version));
    return out;
  }
};

}  // namespace cni::test
