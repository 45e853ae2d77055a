// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "commands.h"
#include "output.h"

namespace cnitool {

void version(const Options& options) {
  const cni::Network network = load(options);
  const std::string wanted = network.version.empty() ? "0.1.0" : network.version;
  std::vector<Row> rows = {{"PLUGIN", "VERSIONS", "FILE"}};
  cni::Json json = cni::Json::array();
  std::string unable;
  for (const auto& plugin : runtime(options).versions(network)) {
    std::string versions;
    for (const std::string& version : plugin.versions) {
      versions += cni::concat(versions.empty() ? "" : ",", version);
    }
    rows.push_back({plugin.type, versions, plugin.path});
    json.push(cni::Json::object()
                  .set("type", plugin.type)
                  .set("supportedVersions", plugin.versions)
                  .set("file", plugin.path));
    if (std::ranges::find(plugin.versions, wanted) == plugin.versions.end()) {
      unable += cni::concat(unable.empty() ? "" : ", ", plugin.type);
    }
  }
  print(options.json ? json.dump(4) + "\n" : table(rows));
  if (unable.empty()) return;
  throw cni::Error(cni::ErrorCode::kIncompatibleVersion,
                   cni::concat("network ", cni::quote(network.name), " has cniVersion ",
                               cni::quote(wanted), ", which is not supported by: ", unable));
}

}  // namespace cnitool
