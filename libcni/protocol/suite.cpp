// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/suite.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "protocol/process.h"

namespace cni::suite {
namespace {

constinit std::span<const Plugin* const> members;

const Plugin* find(std::string_view name) noexcept {
  for (const Plugin* const plugin : members) {
    if (plugin->name == name) return plugin;
  }
  return nullptr;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

int unknown(std::string_view name) {
  std::string names;
  for (const Plugin* const plugin : members) names += concat(" ", plugin->name);
  const Error error(ErrorCode::kInvalidEnvironment,
                    concat("called as ", quote(name), ", which is no plugin of this file"),
                    concat("it has:", names));
  write_all(STDOUT_FILENO, error_object(error, kLatestVersion), "stdout");
  return 1;
}

}  // namespace

int run(std::span<const Plugin* const> plugins, std::span<const char* const> argv) {
  members = plugins;
  const std::string_view name = argv.empty() ? std::string_view() : base_name(argv[0]);
  const Plugin* plugin = find(name);
  std::size_t next = 1;
  if (plugin == nullptr && argv.size() > 1) plugin = find(argv[next++]);
  if (plugin == nullptr) return unknown(name);
  const bool is_daemon = argv.size() > next && std::string_view(argv[next]) == "daemon";
  if (plugin->daemon != nullptr && is_daemon) return plugin->daemon(argv.subspan(next + 1));
  return cni::run(*plugin);
}

const Plugin* at(const struct stat& file, std::string_view type) noexcept {
  const Plugin* const plugin = find(type);
  if (plugin == nullptr) return nullptr;
  struct stat own {};
  const bool same =
      ::stat("/proc/self/exe", &own) == 0 && own.st_dev == file.st_dev && own.st_ino == file.st_ino;
  return same ? plugin : nullptr;
}

bool uses_link(std::string_view type) noexcept {
  const Plugin* const plugin = find(type);
  return plugin != nullptr && plugin->uses_link;
}

}  // namespace cni::suite
