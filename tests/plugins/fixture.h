// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "support/host.h"
#include "support/plugin.h"
#include "support/snapshot.h"

/// What the tests of interface plugins share.
namespace cni::test {

/// A configuration document: cniVersion, name and type, then `members` as they are.
[[nodiscard]] std::string plugin_conf(std::string_view type, std::string_view members,
                                      std::string_view version = "1.1.0",
                                      std::string_view network = "net1");
/// Of type bridge.
[[nodiscard]] std::string bridge_conf(std::string_view members, std::string_view version = "1.1.0",
                                      std::string_view network = "net1");

/// Members of the usual networks: 10.1.2.0/24 with gateway and default route; the same with
/// 2001:db8:1::/64 and masquerading.
inline constexpr std::string_view kRouted =
    R"("isDefaultGateway":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}]]})";
inline constexpr std::string_view kDualStack =
    R"("isDefaultGateway":true,"ipMasq":true,"ipam":{"type":"host-local",)"
    R"("ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]]})";

/// The group of a link whose ADD has not labelled it yet.
inline constexpr unsigned kUnfinishedGroup = 0x636e6970;

/// One attachment that the test drives through its verbs.
struct Attachment {
  std::string conf;
  std::string netns;
  std::string id = "c1";
  std::string ifname = "eth0";
  std::string plugin = "bridge";
  std::string args = {};
  std::vector<std::string> env = {};
  std::string plugin_path = our_bin_dir();  // CNI_PATH

  [[nodiscard]] PluginCall call(std::string_view command) const;
  /// The verb as a program with its environment and input, to be run under another one.
  [[nodiscard]] Command command(std::string_view command) const;
  [[nodiscard]] Output run(std::string_view command) const;
  /// With prevResult in the configuration.
  [[nodiscard]] Output run(std::string_view command, const Json& previous) const;
  /// To call GC of the network and plugin with: these container ids, with this interface name, are
  /// valid.
  [[nodiscard]] Attachment collecting(const std::vector<std::string>& valid_ids) const;
  /// ADD that must succeed; throws Error with its output otherwise.
  Json add() const;
  /// DEL that must succeed.
  void del() const;
};

/// GC of the configuration's network and plugin with these container ids (eth0 each) as the valid
/// ones.
Output run_gc(const std::string& conf, const std::vector<std::string>& valid_ids);

/// The code of a CNI error object on stdout: 0 after success, -1 when there is none.
[[nodiscard]] int code_of(const Output& output);
/// msg and details of the error object.
[[nodiscard]] std::string message_of(const Output& output);

/// "ip -j -d link show dev NAME"; throws when there is none.
[[nodiscard]] Json link_of(std::string_view name, const TestNamespace* net = nullptr);
[[nodiscard]] bool has_link(std::string_view name, const TestNamespace* net = nullptr);
/// Names of the links that are ports of this one.
[[nodiscard]] std::vector<std::string> ports_of(std::string_view bridge);
/// Global addresses with prefix, sorted.
[[nodiscard]] std::vector<std::string> addresses_of(std::string_view link,
                                                    const TestNamespace* net = nullptr);
/// The lease files of a network (without lock and last_reserved_ip.*), sorted.
[[nodiscard]] std::vector<std::string> leases_of(std::string_view network = "net1");
/// The addresses that our nf_tables sets masquerade, sorted.
[[nodiscard]] std::vector<std::string> masqueraded();
/// The names of the records that plugins keep of their attachments, for reloads.
[[nodiscard]] std::vector<std::string> records();
/// Processes in the current network namespace other than this one: "pid name".
[[nodiscard]] std::vector<std::string> processes_here();

/// Skips the test where the kernel's bridges have no VLANs.
void require_vlan_filtering();

/// Waits until the kernel has finished with new IPv6 addresses of the host, which it does later.
void wait_for_addresses();

/// CNIPP_SWEEP=full in the environment: take every point and every round, however long it lasts.
[[nodiscard]] bool sweep_is_full();

/// A copy of host-local, found before the link to the suite: it needs a process of its own. Returns
/// CNI_PATH.
std::string install_ipam_copy(const TestHost& host);

/// Writes an executable shell script NAME into the host's scratch directory, and returns a CNI_PATH
/// that finds it before our plugins.
std::string install_script(const TestHost& host, const std::string& name, std::string_view body);
/// The same for an IPAM plugin "fixed" that answers ADD with this result.
std::string install_fixed_ipam(const TestHost& host, std::string_view result);

}  // namespace cni::test
