// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plugins/fixture.h"
#include "support/traffic.h"

/// What the tests of published ports share.
namespace cni::test {

/// A portmap configuration: `mappings` is the content of the array runtimeConfig.portMappings.
[[nodiscard]] std::string portmap_conf(std::string_view mappings, std::string_view members = "",
                                       std::string_view version = "1.1.0",
                                       std::string_view network = "net1");

/// {"hostPort":8080,"containerPort":80,"protocol":"tcp"}, with a hostIP unless that is empty.
[[nodiscard]] std::string mapping(int host_port, int container_port,
                                  std::string_view protocol = "tcp", std::string_view host_ip = "");

/// A container on the dual-stack bridge network "net1", 10.1.2.0/24 and 2001:db8:1::/64, whose
/// ports are published as the list goes on.
struct Container {
  TestSandbox sandbox;
  Attachment bridge;
  Json result;  // of the bridge

  explicit Container(const std::string& id);
  [[nodiscard]] const TestNamespace& net() const noexcept { return sandbox.net(); }
  [[nodiscard]] Attachment portmap(const std::string& conf) const;
  /// ADD of portmap with these mappings; throws unless it succeeds. The attachment for more verbs.
  Attachment publish(const std::string& mappings, std::string_view members = "") const;
  [[nodiscard]] std::string v4() const { return address(0); }
  [[nodiscard]] std::string v6() const { return address(1); }

 private:
  [[nodiscard]] std::string address(std::size_t index) const;
};

/// A forwarding host with a neighbour, where a bridge hands nothing to netfilter unless a test asks
/// for it.
struct PortHost {
  TestHost host;
  OutsideHost outside{host};

  PortHost();
  /// br_netfilter for both families. Skips the test where the kernel does not have it.
  void set_bridge_netfilter(bool on) const;
};

/// Keys of the elements of one of our maps, in nft's words, sorted: "tcp . 8080".
[[nodiscard]] std::vector<std::string> elements_of(std::string_view map);
/// Elements of all our sets and maps that have to do with published ports.
[[nodiscard]] std::size_t count_port_elements();

inline constexpr std::chrono::milliseconds kBrief{700};  // for what must not come through

}  // namespace cni::test
