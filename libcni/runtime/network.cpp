// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/network.h"

#include <optional>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "model/version.h"

namespace cni {
namespace {

[[noreturn]] void fail(std::string_view problem) {
  throw Error(ErrorCode::kDecode, concat("error parsing configuration list: ", problem));
}

Json parse_object(std::string_view text, std::string_view what) {
  Json document;
  try {
    document = Json::parse(text);
  } catch (const Error& error) {
    throw Error(error.code(), concat("error parsing ", what, ": ", error.msg()), error.details());
  }
  if (!document.root().is_object()) {
    throw Error(ErrorCode::kDecode, concat("error parsing ", what, ": expected a JSON object"));
  }
  return document;
}

std::string optional_string(const JsonRef& list, std::string_view key) {
  const JsonRef value = list.exact(key);
  if (!value.written()) return {};
  if (!value.is_string()) {
    fail(concat("invalid ", key, " type: expected a string, got ", value.text()));
  }
  return value.string();
}

/// A boolean, or the words "true" and "false" in any case.
bool flag(const JsonRef& list, std::string_view key) {
  const JsonRef value = list.exact(key);
  if (!value.present()) return false;
  if (value.text() == "true" || value.text() == "false") return value.bool_or(false);
  if (!value.is_string()) {
    fail(concat("invalid type for ", key, ": expected true or false, got ", value.text()));
  }
  std::string word = value.string();
  for (char& c : word) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (word != "true" && word != "false") {
    fail(concat("invalid value ", quote(value.string()), " for ", key));
  }
  return word == "true";
}

VersionNumber number_at(const JsonRef& entry, std::size_t index) {
  if (!entry.is_string()) {
    fail(concat("invalid type for cniVersions index ", index, ": expected a string, got ",
                entry.text()));
  }
  try {
    return VersionNumber::parse(entry.string());
  } catch (const Error&) {
    fail(concat("invalid cniVersions entry ", quote(entry.string()), " at index ", index));
  }
}

/// The highest version of "cniVersions" and "cniVersion" that we speak; without "cniVersions", or
/// when nothing of it is left, "cniVersion" as written.
std::string select_version(const JsonRef& list) {
  std::string written = optional_string(list, "cniVersion");
  const JsonRef candidates = list.exact("cniVersions");
  if (!candidates.written()) return written;
  if (!candidates.is_array()) {
    fail(concat("invalid type for cniVersions: expected an array, got ", candidates.text()));
  }
  const VersionNumber latest = VersionNumber::parse(text(kLatestVersion));
  std::optional<VersionNumber> best;
  std::string best_text = written;
  const auto consider = [&](const VersionNumber& number, const std::string& as_written) {
    if (number > latest || (best && number <= *best)) return;
    best = number;
    best_text = as_written;
  };
  std::size_t index = 0;
  for (const JsonRef& entry : candidates.items()) {
    const VersionNumber number = number_at(entry, index++);
    consider(number, entry.string());
  }
  if (!written.empty()) {
    try {
      consider(VersionNumber::parse(written), written);
    } catch (const Error&) {
      fail(concat("invalid cniVersion ", quote(written)));
    }
  }
  return best_text;
}

void require_type(const Json& plugin) {
  const JsonRef root = plugin.root();
  if (!root.is_object()) {
    throw Error(ErrorCode::kDecode, concat("error parsing configuration: expected an object, got ",
                                           root.text().substr(0, 60)));
  }
  if (root["type"].string_or("").empty()) {
    throw Error(ErrorCode::kDecode, "error parsing configuration: missing 'type'");
  }
}

}  // namespace

bool Network::version_at_least(std::string_view other) const {
  return VersionNumber::parse(version.empty() ? "0.1.0" : version) >= VersionNumber::parse(other);
}

Network parse_network_list(std::string_view text) {
  const Json document = parse_object(text, "configuration list");
  const JsonRef root = document.root();
  Network out;
  out.source = text;
  if (!root.exact("name").written()) fail("no name");
  out.name = optional_string(root, "name");
  out.version = select_version(root);
  out.disable_check = flag(root, "disableCheck");
  out.disable_gc = flag(root, "disableGC");
  out.only_inlined_plugins = flag(root, "loadOnlyInlinedPlugins");

  const JsonRef plugins = root.exact("plugins");
  if (!plugins.written()) {
    if (out.only_inlined_plugins) fail("`loadOnlyInlinedPlugins` is true, and no 'plugins' key");
    return out;
  }
  if (!plugins.is_array()) {
    fail(concat("invalid 'plugins' type: expected an array, got ", plugins.text()));
  }
  for (const JsonRef& item : plugins.items()) {
    Json plugin(item);
    try {
      require_type(plugin);
    } catch (const Error& error) {
      throw Error(error.code(),
                  concat("failed to parse plugin config ", out.plugins.size(), ": ", error.msg()),
                  error.details());
    }
    out.plugins.push_back(std::move(plugin));
  }
  if (out.plugins.empty()) fail("no plugins in list");
  return out;
}

Json parse_plugin(std::string_view text) {
  Json plugin = parse_object(text, "configuration");
  require_type(plugin);
  return plugin;
}

Network parse_single_plugin(std::string_view text) {
  const Json plugin = parse_plugin(text);
  Json list = Json::object();
  list.set("name", plugin.root()["name"].string_or(""));
  list.set("cniVersion", plugin.root()["cniVersion"].string_or(""));
  list.set("plugins", Json::array().push(plugin));
  Network out = parse_network_list(list.dump());
  out.only_inlined_plugins = true;
  return out;
}

std::string plugin_type(const Json& plugin) { return plugin.root()["type"].string_or(""); }

std::string describe_plugin(const Json& plugin) {
  const JsonRef name = plugin.root()["name"];
  std::string out = concat("type=", quote(plugin_type(plugin)));
  if (name.is_string() && !name.string().empty()) out += concat(" name=", quote(name.string()));
  return out;
}

}  // namespace cni
