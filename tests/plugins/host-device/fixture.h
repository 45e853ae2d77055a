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

inline constexpr std::string_view kDeviceIpam =
    R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}],)"
    R"([{"subnet":"2001:db8:1::/64"}]],"routes":[{"dst":"0.0.0.0/0"}]})";

/// A host with a device "nic0", a veth end with all that a device can have, and a container.
struct DeviceHost {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Snapshot before;

  DeviceHost() {
    for (const char* const line :
         {"ip link add nic0 type veth peer name wire0", "ip link set wire0 addrgenmode none up",
          "ip link set nic0 address 02:00:00:00:00:07 mtu 1400 addrgenmode none",
          "ip link set nic0 alias the,uplink-of-this-host",
          "ip link property add dev nic0 altname enp3s0",
          "ip link property add dev nic0 altname a-very-long-second-name", "ip link set nic0 up",
          "ip addr add 192.0.2.5/24 dev nic0 label nic0:one", "ip addr add 192.0.2.6/24 dev nic0",
          "ip addr add 198.51.100.1 peer 198.51.100.9/32 dev nic0",
          "ip addr add 2001:db8:9::5/64 dev nic0 nodad", "ip route add default via 192.0.2.1",
          "ip route add 10.60.0.0/16 via 192.0.2.1 src 192.0.2.6 metric 7 mtu 1300",
          "ip route add 10.61.0.0/16 dev nic0 table 77 scope link",
          "ip -6 route add 2001:db8:60::/48 via 2001:db8:9::1 src 2001:db8:9::5",
          "ip route add 10.62.0.0/16 nexthop via 192.0.2.1 weight 2 nexthop via 192.0.2.2"}) {
      tool(line);
    }
    tool("mkdir -p -m 0700 /run/cnipp/devices");  // stays, and so does what mount leaves
    tool("mkdir -p /run/mount");
    wait_for_addresses();
    before = snapshot_host().without_hints();
  }
  [[nodiscard]] static std::string conf(std::string_view members = R"("device":"nic0")",
                                        std::string_view version = "1.1.0") {
    return plugin_conf("host-device", concat(members, ",", kDeviceIpam), version);
  }
  [[nodiscard]] Attachment attachment(const std::string& conf = DeviceHost::conf()) const {
    return {.conf = conf, .netns = sandbox.path(), .plugin = "host-device"};
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  /// What differs from the time before.
  [[nodiscard]] std::string leftovers() const { return difference_in_the_end(before); }
};

}  // namespace cni::test
