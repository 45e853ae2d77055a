// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/command.h"

namespace cni::test {

/// Where the binaries under test are: CNI_TEST_BIN_DIR in the environment, else this build's bin/.
[[nodiscard]] const std::string& our_bin_dir();
/// The Debian reference plugins: CNI_TEST_REFERENCE_DIR, else /usr/lib/cni.
[[nodiscard]] const std::string& reference_bin_dir();
/// Skips the test when the reference has no such plugin here.
void require_reference(std::string_view plugin = "bridge");
/// The source tree: conf-examples/, tools/.
[[nodiscard]] const std::string& source_dir();

/// One call of a plugin as a runtime makes it.
struct PluginCall {
  std::string command;  // ADD, DEL, ...
  std::string plugin;   // "bridge": found in bin_dir; or a path
  std::string config;   // stdin
  std::string container_id = "container-1";
  std::string netns = {};
  std::string ifname = "eth0";
  std::string args = {};  // CNI_ARGS
  std::string bin_dir = our_bin_dir();
  std::vector<std::string> env = {};  // added to the environment, "K=V"
};

[[nodiscard]] Command command_of(const PluginCall& call);
Output run_plugin(const PluginCall& call);

/// `config` with the member set or replaced: prevResult, cniVersion, name.
[[nodiscard]] std::string with(std::string_view config, std::string_view key, Json value);

/// cnitool, with the lists in `conf_dir`.
struct CnitoolCall {
  std::string command;  // add, check, ...
  std::string network;
  std::string netns;
  std::string conf_dir;
  std::string ifname = "eth0";
  std::string plugin_path = our_bin_dir();
  std::string capability_args = {};  // CAP_ARGS
};
[[nodiscard]] Command command_of(const CnitoolCall& call);
Output run_cnitool(const CnitoolCall& call);

}  // namespace cni::test
