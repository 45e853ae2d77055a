// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/load.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <initializer_list>
#include <memory>

#include "base/concat.h"
#include "base/fd.h"
#include "base/log.h"
#include "model/config.h"

namespace cni {
namespace {

struct CloseDirectory {
  void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

/// Paths of the non-directories with one of these extensions, in bytewise order. None when the
/// directory does not exist.
std::vector<std::string> files_with_extension(const std::string& directory,
                                              std::initializer_list<std::string_view> extensions) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, CloseDirectory> dir(::opendir(directory.c_str()));
  if (!dir) {
    if (errno == ENOENT || errno == ENOTDIR) return out;
    throw_errno(concat("read directory ", quote(directory)));
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    const auto dot = name.rfind('.');
    if (dot == name.npos) continue;
    if (std::ranges::find(extensions, name.substr(dot)) == extensions.end()) continue;
    std::string path = concat(directory, "/", name);
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    out.push_back(std::move(path));
  }
  std::ranges::sort(out);
  return out;
}

[[noreturn]] void fail_in_file(const Error& error, const std::string& file) {
  throw Error(error.code(), concat(quote(file), ": ", error.msg()), error.details());
}

void append_folder_plugins(Network& network, const std::string& directory) {
  // The name becomes a path here; a network with another kind of name cannot be run anyway.
  if (network.only_inlined_plugins || !is_valid_name(network.name)) return;
  for (const std::string& file :
       files_with_extension(concat(directory, "/", network.name), {".conf"})) {
    try {
      network.plugins.push_back(parse_plugin(read_file(file)));
    } catch (const Error& error) {
      fail_in_file(error, file);
    }
  }
}

struct Candidate {
  std::string file;
  bool is_list;
};

std::vector<Candidate> candidates(const std::string& directory) {
  std::vector<Candidate> out;
  for (std::string& file : files_with_extension(directory, {".conflist"})) {
    out.push_back({std::move(file), true});
  }
  for (std::string& file : files_with_extension(directory, {".conf", ".json"})) {
    out.push_back({std::move(file), false});
  }
  return out;
}

/// `name` learns the network's name as soon as it is known, also when the rest is then unusable.
Network load_file(const std::string& directory, const Candidate& candidate, std::string& name) {
  try {
    const std::string text = read_file(candidate.file);
    const Json document = Json::parse(text);
    if (document.root().is_object()) {
      const JsonRef root = document.root();
      const JsonRef written = candidate.is_list ? root.exact("name") : root["name"];
      if (written.is_string()) name = written.string();
    }
    Network network = candidate.is_list ? parse_network_list(text) : parse_single_plugin(text);
    network.file = candidate.file;
    append_folder_plugins(network, directory);
    if (network.plugins.empty()) {
      throw Error(ErrorCode::kInvalidConfig,
                  concat("no plugin configs found for network ", quote(network.name)));
    }
    return network;
  } catch (const Error& error) {
    fail_in_file(error, candidate.file);
  }
}

}  // namespace

Network load_network(const std::string& directory, std::string_view wanted) {
  const std::vector<Candidate> files = candidates(directory);
  std::string unreadable;
  for (const Candidate& candidate : files) {
    std::string name;
    try {
      Network network = load_file(directory, candidate, name);
      if (network.name == wanted) return network;
    } catch (const Error& error) {
      if (name == wanted && !name.empty()) throw;
      log::warn(concat("passed over: ", error.what()));
      unreadable +=
          concat(unreadable.empty() ? "files that could not be read: " : "; ", error.what());
    }
  }
  if (files.empty()) {
    throw Error(ErrorCode::kInvalidConfig, concat("no net configurations found in ", directory));
  }
  throw Error(ErrorCode::kInvalidConfig,
              concat("no net configuration with name ", quote(wanted), " in ", directory),
              unreadable);
}

NetworkDirectory load_networks(const std::string& directory) {
  NetworkDirectory out;
  for (const Candidate& candidate : candidates(directory)) {
    std::string name;
    try {
      Network network = load_file(directory, candidate, name);
      const bool shadowed = std::ranges::any_of(
          out.networks, [&](const Network& other) { return other.name == network.name; });
      if (!shadowed) out.networks.push_back(std::move(network));
    } catch (const Error& error) {
      out.errors.push_back(error);
    }
  }
  return out;
}

}  // namespace cni
