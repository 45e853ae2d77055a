// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "commands.h"
#include "output.h"
#include "runtime/load.h"

namespace cnitool {

void list(const Options& options) {
  const cni::NetworkDirectory directory = cni::load_networks(config_directory());
  std::vector<Row> rows = {{"NETWORK", "VERSION", "PLUGINS", "FILE"}};
  cni::Json json = cni::Json::array();
  for (const cni::Network& network : directory.networks) {
    std::string joined;
    std::vector<std::string> types;
    for (const cni::Json& plugin : network.plugins) {
      types.push_back(cni::plugin_type(plugin));
      joined += cni::concat(joined.empty() ? "" : ",", types.back());
    }
    rows.push_back({network.name, network.version, joined, network.file});
    json.push(cni::Json::object()
                  .set("name", network.name)
                  .set("cniVersion", network.version)
                  .set("plugins", types)
                  .set("file", network.file));
  }
  print(options.json ? json.dump(4) + "\n" : table(rows));
  for (const cni::Error& error : directory.errors) {
    print_error(cni::concat("not usable: ", error.what(), "\n"));
  }
}

}  // namespace cnitool
