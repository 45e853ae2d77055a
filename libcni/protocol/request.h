// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/owner.h"

namespace cni {

/// The specification's, and one of ours (Plugin::restore).
enum class Command { kAdd, kDel, kCheck, kGc, kStatus, kVersion, kRestore };
[[nodiscard]] std::string_view text(Command command) noexcept;

/// The environment as data, so that tests need not change their own.
class Environment {
 public:
  Environment() = default;
  explicit Environment(std::vector<std::string> entries) : entries_(std::move(entries)) {}
  [[nodiscard]] static Environment current();

  /// "" when unset.
  [[nodiscard]] std::string get(std::string_view name) const;
  void set(std::string_view name, std::string_view value);
  [[nodiscard]] const std::vector<std::string>& entries() const noexcept { return entries_; }

 private:
  std::vector<std::string> entries_;  // "K=V"
};

/// One call of a plugin: the environment table of the specification (section 2, "Parameters") and
/// the configuration from stdin, validated.
struct Request {
  Command command = Command::kVersion;
  std::string container_id;
  std::string netns;  // CNI_NETNS as given; may be empty for DEL
  std::string ifname;
  std::string args;  // CNI_ARGS as given
  std::string path;  // CNI_PATH as given
  bool netns_override = false;
  Environment environment;  // what delegates inherit
  std::string input;        // stdin as given
  NetConf conf;

  [[nodiscard]] Attachment attachment() const { return {container_id, ifname}; }
  [[nodiscard]] Owner owner() const { return {conf.name, container_id, ifname}; }
};

/// The environment part. Reports a bad value at once and all missing names together, code 4. An
/// unknown command is nullopt in `command`: the caller reports it after the configuration's errors.
struct ParsedEnvironment {
  std::optional<Command> command;
  std::string command_text;
  Request request;
};
[[nodiscard]] ParsedEnvironment parse_environment(const Environment& environment);

/// Decodes stdin into request.conf and checks name and cniVersion as the verb demands.
void parse_input(Request& request, std::string input);

}  // namespace cni
