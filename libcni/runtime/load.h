// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "runtime/network.h"

namespace cni {

/// The network of this name in a configuration directory, by the reference's rules: ".conflist"
/// files in the order of their names, then ".conf" and ".json" files; a list is completed by the
/// plugins in <directory>/<network name>/*.conf. A file of another network that cannot be read is
/// logged and passed over. Throws Error{kInvalidConfig} when there is no such network, listing the
/// files that could not be read; what is wrong with the network's own file is thrown as it is.
[[nodiscard]] Network load_network(const std::string& directory, std::string_view name);

/// What load_network can find, in the order of the files, and the errors of all other files.
struct NetworkDirectory {
  std::vector<Network> networks;
  std::vector<Error> errors;
};
[[nodiscard]] NetworkDirectory load_networks(const std::string& directory);

}  // namespace cni
