// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/fixture.h"
#include "support/command.h"
#include "support/host.h"
#include "support/traffic.h"

/// What the tests of the firewall plugin share.
namespace cni::test {

/// A configuration document of the plugin.
[[nodiscard]] std::string firewall_conf(std::string_view members,
                                        std::string_view version = "1.1.0",
                                        std::string_view network = "net1");

/// A network: its bridge and subnets, dual stack, and the firewall plugin's members.
struct Network {
  std::string name = "net1";
  std::string bridge = "cni0";
  int number = 2;  // 10.1.<number>.0/24, 2001:db8:<number>::/64
  std::string firewall = {};
  bool masquerade = false;
  int vlan = 0;

  [[nodiscard]] std::string bridge_document() const;
  [[nodiscard]] std::string firewall_document() const;
};

/// A container on a network: the bridge plugin's ADD is done, the firewall plugin's is the test's.
class Pod {
 public:
  Pod(const Network& network, const std::string& id, std::vector<std::string> env = {});

  [[nodiscard]] const TestNamespace& net() const noexcept { return sandbox_.net(); }
  [[nodiscard]] TestSandbox& sandbox() noexcept { return sandbox_; }
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] const Json& result() const noexcept { return result_; }
  [[nodiscard]] const std::string& v4() const noexcept { return v4_; }
  [[nodiscard]] const std::string& v6() const noexcept { return v6_; }
  /// The host's end of the pair.
  [[nodiscard]] std::string port() const;

  /// A verb of the firewall plugin with prevResult; of the reference's, from `bin_dir`.
  [[nodiscard]] Output firewall(std::string_view verb,
                                const std::string& bin_dir = our_bin_dir()) const;
  /// The call as a program.
  [[nodiscard]] Command command(std::string_view verb) const;
  /// ADD that must succeed.
  const Pod& admit() const;
  [[nodiscard]] Attachment attachment() const;

 private:
  std::string id_;
  TestSandbox sandbox_;
  std::string conf_;
  std::vector<std::string> env_;
  Json result_;
  std::string v4_, v6_;
};

/// A new TCP connection gets through, both ways.
[[nodiscard]] bool reaches(const TestNamespace& from, const TestNamespace& to,
                           std::string_view address);
/// None does within a second.
[[nodiscard]] bool is_kept_from(const TestNamespace& from, const TestNamespace& to,
                                std::string_view address);
/// Routes of the outside machine to the networks' subnets.
void route_back(const OutsideHost& outside, const std::vector<Network>& networks);

/// A message bus of its own, for the time of the test. Skips where there is no dbus-daemon.
class PrivateBus {
 public:
  explicit PrivateBus(const TestHost& host);
  /// "DBUS_SYSTEM_BUS_ADDRESS=..."
  [[nodiscard]] const std::string& variable() const noexcept { return variable_; }
  /// A command that uses this bus; throws with its output when it fails.
  std::string tool(std::vector<std::string> argv) const;

 private:
  std::string variable_;
  std::optional<Process> daemon_;
};

/// A real firewalld on a bus of its own. Skips where there is none.
class Firewalld {
 public:
  explicit Firewalld(const TestHost& host);
  [[nodiscard]] const std::string& variable() const noexcept { return bus_.variable(); }
  /// firewall-cmd with these arguments.
  [[nodiscard]] std::string cmd(std::vector<std::string> arguments) const;
  [[nodiscard]] std::string sources(const std::string& zone = "trusted") const;
  void stop();

 private:
  PrivateBus bus_;
  std::optional<Process> daemon_;
};

}  // namespace cni::test
