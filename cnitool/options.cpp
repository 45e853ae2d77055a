// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "options.h"

#include <filesystem>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "runtime/load.h"

namespace cnitool {
namespace {

using cni::concat;
using cni::Error;
using cni::ErrorCode;

constexpr std::size_t kIdDigits = 20;

std::string from_environment(const char* name) { return cni::Environment::current().get(name); }

/// Absolute and without "." or "..", but symbolic links stay: the container id depends on this
/// text.
std::string absolute_path(const std::string& path) {
  std::string out = std::filesystem::absolute(path).lexically_normal().string();
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

std::vector<std::pair<std::string, std::string>> parse_args(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!text.empty() || !out.empty()) {
    const auto end = text.find(';');
    const std::string_view pair = text.substr(0, end);
    const auto equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value = equals == pair.npos ? "" : pair.substr(equals + 1);
    if (key.empty() || value.empty() || value.find('=') != value.npos) {
      // The value may be a secret: only the key is shown.
      throw Error(ErrorCode::kInvalidEnvironment, concat("invalid CNI_ARGS pair ", cni::quote(key)),
                  "CNI_ARGS is KEY=VALUE;KEY=VALUE, neither side empty");
    }
    out.emplace_back(key, value);
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

cni::Json parse_capability_args(const std::string& text) {
  if (text.empty()) return cni::Json::object();
  cni::Json args = cni::Json::parse(text);
  if (!args.root().is_object()) {
    throw Error(ErrorCode::kDecode, "CAP_ARGS: expected a JSON object");
  }
  return args;
}

}  // namespace

std::string config_directory() {
  const std::string directory = from_environment("NETCONFPATH");
  return directory.empty() ? "/etc/cni/net.d" : directory;
}

cni::ResultCache cache(const Options& options) { return cni::ResultCache(options.cache_dir); }

cni::Runtime runtime(const Options& options) {
  std::string path = from_environment("CNI_PATH");
  if (path.empty()) {
    throw Error(ErrorCode::kInvalidEnvironment, "no paths provided",
                "set CNI_PATH to the directories of the plugins, for example /opt/cni/bin");
  }
  return {cni::Environment::current(), std::move(path), cache(options)};
}

cni::Network load(const Options& options) {
  return cni::load_network(config_directory(), options.network);
}

cni::AttachArgs attach_args(const Options& options) {
  cni::AttachArgs out;
  out.netns = absolute_path(options.netns);
  out.container_id = concat("cnitool-", cni::sha512_hex(out.netns, kIdDigits));
  out.ifname = options.ifname.empty() ? from_environment("CNI_IFNAME") : options.ifname;
  if (out.ifname.empty()) out.ifname = "eth0";
  out.args = parse_args(from_environment("CNI_ARGS"));
  out.capability_args = parse_capability_args(from_environment("CAP_ARGS"));
  return out;
}

}  // namespace cnitool
