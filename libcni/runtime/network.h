// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"

namespace cni {

/// A network configuration list (specification 1.1.0, section 1), ready to be run.
struct Network {
  std::string name;
  std::string
      version;  // the cniVersion its plugins are called with, as written; may be unknown to us
  bool disable_check = false;
  bool disable_gc = false;
  bool only_inlined_plugins = false;
  std::vector<Json> plugins;  // in calling order, as written
  std::string source;         // the list as it is kept in the result cache
  std::string file;           // where it was read; empty when it was not

  /// Compares as numbers, "" being 0.1.0. Throws Error{kDecode} when version is no number.
  [[nodiscard]] bool version_at_least(std::string_view other) const;
};

/// Reads the text of a list; folders are not looked at. Throws Error{kDecode} "error parsing
/// configuration list: ...". A list without plugins is possible (they may come from a folder).
[[nodiscard]] Network parse_network_list(std::string_view text);
/// Reads the text of a single plugin configuration (".conf") as a list of one.
[[nodiscard]] Network parse_single_plugin(std::string_view text);
/// One plugin object of a list; throws Error{kDecode} when it has no "type".
[[nodiscard]] Json parse_plugin(std::string_view text);

/// 'type="bridge"', and ' name="x"' when the plugin object has a name: for messages.
[[nodiscard]] std::string describe_plugin(const Json& plugin);
[[nodiscard]] std::string plugin_type(const Json& plugin);

}  // namespace cni
