// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What the plugins of a network say to VERSION (runtime/runtime.h).
#include "base/concat.h"
#include "base/error.h"
#include "base/process.h"
#include "protocol/delegate.h"
#include "runtime/runtime.h"

namespace cni {
namespace {

std::vector<std::string> read_versions(const std::string& type, const RunResult& ended) {
  try {
    require_success(type, ended.status, ended.output, ended.words);
  } catch (const Error& error) {
    // Plugins older than the verb.
    if (error.msg() == "unknown CNI_COMMAND: VERSION") return {"0.1.0"};
    throw;
  }
  const Json answer = Json::parse(ended.output);
  std::vector<std::string> versions = answer.root()["supportedVersions"].strings();
  if (!versions.empty()) return versions;
  if (answer.root()["cniVersion"].string_or("") == "0.2.0") return {"0.1.0", "0.2.0"};
  throw Error(ErrorCode::kDelegate,
              concat("plugin ", quote(type), " does not say which versions it supports"));
}

}  // namespace

std::vector<Runtime::PluginVersions> Runtime::versions(const Network& network) const {
  Environment environment = environment_;
  environment.set("CNI_COMMAND", "VERSION");
  for (const std::string_view name : {"CNI_NETNS", "CNI_IFNAME", "CNI_PATH"}) {
    environment.set(name, "dummy");
  }
  const Json input = Json::object().set("cniVersion", text(kLatestVersion));
  std::vector<PluginVersions> out;
  for (const Json& plugin : network.plugins) {
    PluginVersions entry;
    entry.type = plugin_type(plugin);
    entry.path = find_plugin(entry.type, cni_path_);
    entry.versions = read_versions(
        entry.type, run_process(entry.path, {entry.path}, environment.entries(), input.dump()));
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace cni
