// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/request.h"

#include <array>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/process.h"

namespace cni {
namespace {

struct CommandInfo {
  std::string_view name;
  Command command;
  bool needs_attachment;  // CNI_CONTAINERID and CNI_IFNAME
  bool needs_netns;
};

constexpr std::array<CommandInfo, 7> kCommands = {{
    {"ADD", Command::kAdd, true, true},
    {"DEL", Command::kDel, true, false},
    {"CHECK", Command::kCheck, true, true},
    {"GC", Command::kGc, false, false},
    {"STATUS", Command::kStatus, false, false},
    {"VERSION", Command::kVersion, false, false},
    {"RESTORE", Command::kRestore, true, true},
}};

void check_container_id(const std::string& id) {
  if (is_valid_name(id)) return;
  throw Error(ErrorCode::kInvalidEnvironment, "invalid characters in containerID", quote(id));
}

void check_ifname(const std::string& ifname) {
  if (const auto problem = interface_name_problem(ifname)) {
    throw Error(ErrorCode::kInvalidEnvironment, problem->first, problem->second);
  }
}

void check_version_allows(Command command, std::string_view version) {
  const bool is_check = command == Command::kCheck;
  if (!is_check && command != Command::kGc && command != Command::kStatus) return;
  const VersionNumber wanted = VersionNumber::parse(version);
  const VersionNumber first = VersionNumber::parse(is_check ? "0.4.0" : "1.1.0");
  if (wanted < first) {
    throw Error(ErrorCode::kIncompatibleVersion,
                concat("config version does not allow ", text(command)),
                concat("config is ", quote(version), ", ", text(command), " needs ",
                       is_check ? "0.4.0" : "1.1.0"));
  }
  if (wanted > VersionNumber::parse(kSupportedVersions.back())) {
    throw Error(ErrorCode::kIncompatibleVersion,
                concat("plugin version does not allow ", text(command)),
                concat("config is ", quote(version)));
  }
}

}  // namespace

std::string_view text(Command command) noexcept {
  for (const CommandInfo& info : kCommands) {
    if (info.command == command) return info.name;
  }
  return "";
}

Environment Environment::current() { return Environment(current_environment()); }

std::string Environment::get(std::string_view name) const {
  for (const std::string& entry : entries_) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return entry.substr(name.size() + 1);
    }
  }
  return {};
}

void Environment::set(std::string_view name, std::string_view value) {
  std::erase_if(entries_, [&](const std::string& entry) {
    return entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name);
  });
  entries_.push_back(concat(name, "=", value));
}

ParsedEnvironment parse_environment(const Environment& environment) {
  ParsedEnvironment out;
  Request& request = out.request;
  std::string missing;
  const auto read = [&](std::string_view name, bool required) {
    std::string value = environment.get(name);
    if (value.empty() && required) missing += concat(missing.empty() ? "" : ",", name);
    return value;
  };

  out.command_text = read("CNI_COMMAND", true);
  const CommandInfo* info = nullptr;
  for (const CommandInfo& candidate : kCommands) {
    if (candidate.name == out.command_text) info = &candidate;
  }
  if (info != nullptr) out.command = request.command = info->command;

  // The order of the specification's table; values are checked only where the verb uses them.
  const bool attachment = info != nullptr && info->needs_attachment;
  request.container_id = read("CNI_CONTAINERID", attachment);
  if (attachment && !request.container_id.empty()) check_container_id(request.container_id);
  request.netns = read("CNI_NETNS", info != nullptr && info->needs_netns);
  request.ifname = read("CNI_IFNAME", attachment);
  if (attachment && !request.ifname.empty()) check_ifname(request.ifname);
  if (!missing.empty()) {
    throw Error(ErrorCode::kInvalidEnvironment,
                concat("required env variables [", missing, "] missing"));
  }
  request.args = environment.get("CNI_ARGS");
  request.path = environment.get("CNI_PATH");
  const std::string override_text = environment.get("CNI_NETNS_OVERRIDE");
  request.netns_override = override_text == "1" || override_text == "true" ||
                           override_text == "TRUE" || override_text == "True";
  request.environment = environment;
  return out;
}

void parse_input(Request& request, std::string input) {
  request.input = std::move(input);
  NetConf& conf = request.conf;
  conf.document = Json::parse(request.input);
  const JsonRef root = conf.root();
  if (root.written() && root.present() && !root.is_object()) {
    throw Error(ErrorCode::kDecode, "network configuration: expected a JSON object");
  }
  // The version first: errors that follow are reported in it.
  const JsonRef version = root["cniVersion"];
  if (version.present() && !version.is_string()) {
    throw Error(ErrorCode::kDecode, concat("cniVersion: expected a string, got ", version.text()));
  }
  const std::string version_text = version.string_or("");
  if (is_supported(version_text)) conf.version = parse_version(version_text);

  const JsonRef name = root["name"];
  if (name.present() && !name.is_string()) {
    throw Error(ErrorCode::kDecode, concat("name: expected a string, got ", name.text()));
  }
  conf.name = name.string_or("");
  if (conf.name.empty()) throw Error(ErrorCode::kInvalidConfig, "missing network name");
  if (!is_valid_name(conf.name)) {
    throw Error(ErrorCode::kInvalidConfig, "invalid characters found in network name",
                concat("name: ", quote(conf.name)));
  }
  check_version_allows(request.command, version_text.empty() ? "0.1.0" : version_text);
  conf.version = parse_version(version_text);
  conf.type = root["type"].string_or("");
}

}  // namespace cni
