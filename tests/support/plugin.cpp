// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/plugin.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/concat.h"
#include "support/skip.h"

namespace cni::test {
namespace {

std::string environment_or(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

const std::string& our_bin_dir() {
  static const std::string dir = environment_or("CNI_TEST_BIN_DIR", CNI_BUILD_BIN_DIR);
  return dir;
}

const std::string& reference_bin_dir() {
  static const std::string dir = environment_or("CNI_TEST_REFERENCE_DIR", "/usr/lib/cni");
  return dir;
}

const std::string& source_dir() {
  static const std::string dir = CNI_SOURCE_DIR;
  return dir;
}

void require_reference(std::string_view plugin) {
  const std::string path = concat(reference_bin_dir(), "/", plugin);
  if (::access(path.c_str(), X_OK) != 0) skip(concat("no reference plugin ", path));
}

Command command_of(const PluginCall& call) {
  Command command;
  const bool is_path = call.plugin.find('/') != std::string::npos;
  command.argv = {is_path ? call.plugin : concat(call.bin_dir, "/", call.plugin)};
  command.input = call.config;
  command.env = {
      concat("CNI_COMMAND=", call.command), concat("CNI_CONTAINERID=", call.container_id),
      concat("CNI_NETNS=", call.netns),     concat("CNI_IFNAME=", call.ifname),
      concat("CNI_ARGS=", call.args),       concat("CNI_PATH=", call.bin_dir)};
  command.env.insert(command.env.end(), call.env.begin(), call.env.end());
  // Masquerading with iptables looks for programs.
  const bool has_path = std::ranges::any_of(
      call.env, [](const std::string& entry) { return entry.starts_with("PATH="); });
  if (!has_path) command.env.emplace_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
  return command;
}

Output run_plugin(const PluginCall& call) { return run(command_of(call)); }

std::string with(std::string_view config, std::string_view key, Json value) {
  Json document = Json::parse(config);
  return document.set(key, std::move(value)).dump();
}

Command command_of(const CnitoolCall& call) {
  Command command;
  command.argv = {our_bin_dir() + "/cnitool", call.command, call.network, call.netns};
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", concat("CNI_PATH=", call.plugin_path),
                 concat("NETCONFPATH=", call.conf_dir), concat("CNI_IFNAME=", call.ifname)};
  if (!call.capability_args.empty()) {
    command.env.push_back(concat("CAP_ARGS=", call.capability_args));
  }
  return command;
}

Output run_cnitool(const CnitoolCall& call) { return run(command_of(call)); }

}  // namespace cni::test
