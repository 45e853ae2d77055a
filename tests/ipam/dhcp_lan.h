// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/command.h"
#include "support/host.h"
#include "support/plugin.h"

namespace cni::test {

/// A TestHost with the bridge "br0", and on it a machine with the address 10.0.0.1 on "lan0", where
/// DHCP servers run.
class [[nodiscard]] Lan {
 public:
  Lan();

  [[nodiscard]] const TestHost& host() const noexcept { return host_; }
  [[nodiscard]] const TestNamespace& net() const noexcept { return net_; }
  /// A file in a directory of this test's own.
  [[nodiscard]] std::string file(std::string_view name) const;
  std::string write(std::string_view name, std::string_view content) const;
  /// A container with "eth0" on the bridge, down and without an address.
  [[nodiscard]] TestSandbox container(const std::string& name) const;

 private:
  TestHost host_;
  TestNamespace net_;
};

/// A DHCP server on the lan: leases of 10.0.0.100 to 10.0.0.199, router 10.0.0.1, DNS 10.0.0.53,
/// domain lab.test. `more` are further lines of its configuration.
struct DhcpServer {
  std::string name;
  Command command;
};
[[nodiscard]] DhcpServer dnsmasq(const Lan& lan, const std::vector<std::string>& more = {});
[[nodiscard]] DhcpServer kea(const Lan& lan, const std::string& more = "",
                             const std::string& pool = "10.0.0.100-10.0.0.199",
                             const std::string& router = "10.0.0.1");
[[nodiscard]] DhcpServer isc(const Lan& lan, const std::string& more = "");
[[nodiscard]] DhcpServer udhcpd(const Lan& lan, const std::string& more = "");

/// `dhcp daemon`, ready to answer.
class [[nodiscard]] DhcpDaemon {
 public:
  explicit DhcpDaemon(const std::string& program = our_bin_dir() + "/dhcp",
                      const std::vector<std::string>& more = {"-timeout", "500ms"});
  void kill();   // as a crash
  Output end();  // as systemd
  [[nodiscard]] int pid() const { return process_->pid(); }

 private:
  std::optional<Process> process_;
};

inline constexpr std::string_view kDhcpSocket = "/run/cni/dhcp.sock";
[[nodiscard]] std::string dhcp_conf(const std::string& ipam = "",
                                    const std::string& version = "1.1.0");
/// ADD, DEL, ... of the IPAM plugin alone; `container` is /run/netns/<container>.
[[nodiscard]] PluginCall dhcp_call(const std::string& verb, const std::string& container,
                                   const std::string& conf = dhcp_conf());

}  // namespace cni::test
