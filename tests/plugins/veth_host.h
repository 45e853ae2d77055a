// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/command.h"
#include "support/poll.h"

namespace cni::test {

/// A container with a veth that another plugin made, whose result is `previous`.
struct VethHost {
  TestHost host;
  TestSandbox sandbox{"c1"};
  std::string ifname;

  explicit VethHost(std::string name = "eth0") : ifname(std::move(name)) {
    // The kernel adds link-local addresses in its own time.
    for (const TestNamespace* net : {&host.net(), inside()}) {
      net->set_sysctl("net/ipv6/conf/all/disable_ipv6", "1");
      net->set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    }
    tool(concat("ip link add host0 address 02:00:00:00:00:01 type veth peer name ", ifname,
                " address 02:00:00:00:00:02 netns c1"));
    tool("ip link set host0 up");
    tool(concat("ip link set ", ifname, " up"), inside());
    wait_until_up("host0", nullptr);
    wait_until_up(ifname, inside());
  }

  static void wait_until_up(std::string_view link, const TestNamespace* net) {
    (void)eventually([&] { return link_of(link, net).root()["operstate"].string() == "UP"; });
  }

  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  [[nodiscard]] std::string sysctl(std::string_view entry) const {
    return sandbox.net().sysctl(std::string(entry));
  }

  [[nodiscard]] Json previous(std::string_view version = "1.1.0") const {
    Json out =
        Json::parse(concat(R"({"interfaces":[{"name":"host0","mac":"02:00:00:00:00:01"},{"name":")",
                           ifname, R"(","mac":"02:00:00:00:00:02","sandbox":")", sandbox.path(),
                           R"("}],"ips":[{"interface":1,"address":"10.1.2.3/24"}],"dns":{}})"));
    if (version < "0.3.0")
      out = Json::parse(R"({"ip4":{"ip":"10.1.2.3/24"},"dns":{}})");
    else if (version < "1.0.0") {
      out.set("ips", Json::parse(R"([{"interface":1,"version":"4","address":"10.1.2.3/24"}])"));
    }
    return out.set("cniVersion", version);
  }

  /// The plugin chained behind the one that made the veth.
  [[nodiscard]] Attachment chained(std::string_view plugin, std::string_view members,
                                   std::string_view version = "1.1.0") const {
    Attachment out{.conf = concat(R"({"cniVersion":")", version, R"(","name":"net1","type":")",
                                  plugin, "\"", members.empty() ? "" : ",", members, "}"),
                   .netns = sandbox.path()};
    out.conf = with(out.conf, "prevResult", previous(version));
    out.ifname = ifname;
    out.plugin = plugin;
    return out;
  }
};

}  // namespace cni::test
