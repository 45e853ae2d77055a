// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

namespace cni::record {
namespace {

constexpr const char* kDirectory = "/run/cnipp/attachments";
constexpr unsigned kDirectoryMode = 0700;
constexpr unsigned kFileMode = 0600;  // a configuration may hold what is nobody's business

std::string path_of(const Owner& owner, std::string_view plugin) {
  return concat(kDirectory, "/", owner.tag(), ".", plugin);
}

std::string path_of(std::string_view plugin, const Request& request) {
  return path_of(request.owner(), plugin);
}

/// "" when there is no such file.
std::string identity_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return concat(info.st_dev, ":", info.st_ino);
}

Record parse(std::string_view text) {
  const Json document = Json::parse(text);
  const JsonRef root = document.root();
  Record out;
  out.plugin = root["plugin"].string();
  out.network = root["config"]["name"].string();
  out.attachment = {root["containerId"].string(), root["ifname"].string()};
  out.netns = root["netns"].string();
  out.netns_id = root["netnsId"].string();
  out.args = root["args"].string();
  out.path = root["path"].string();
  out.config = Json(root["config"]);
  return out;
}

/// The names in the directory that do not begin with a dot; none when there is no directory.
std::vector<std::string> names() {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(kDirectory), ::closedir);
  if (!dir) {
    if (errno == ENOENT) return out;
    throw_errno(concat("open directory ", quote(kDirectory)));
  }
  while (const dirent* const entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with(".")) out.emplace_back(name);
  }
  return out;
}

}  // namespace

bool Record::is_live() const { return !netns_id.empty() && identity_of(netns) == netns_id; }

void save(std::string_view plugin, const Request& request, const Json& result) {
  Json config = request.conf.document;
  config.set("prevResult", result);
  Json record = Json::object();
  record.set("plugin", plugin);
  record.set("containerId", request.container_id);
  record.set("ifname", request.ifname);
  record.set("netns", request.netns);
  record.set("netnsId", identity_of(request.netns));
  record.set("args", request.args);
  record.set("path", request.path);
  record.set("config", std::move(config));
  const std::string path = path_of(plugin, request);
  try {
    write_file_unnamed(path, record.dump(), kFileMode, kDirectoryMode);
  } catch (const Error&) {
    ::unlink(path.c_str());  // it tells of another ADD
    throw;
  }
}

void Held::append(std::vector<Held>& held, std::string path) {
  Fd fd = open_file_if_exists(path, O_RDONLY);
  if (!fd.valid()) return;
  FileLock lock = FileLock::acquire(std::move(fd), path);
  struct stat info {};
  if (::fstat(lock.fd(), &info) != 0) throw_errno(concat("look at ", quote(path)));
  // Removed while we waited: it is the affair of who removed it.
  if (info.st_nlink == 0) return;
  held.push_back(Held(std::move(lock), std::move(path)));
}

Record Held::read() const { return parse(read_file(path_)); }

void Held::remove() const {
  if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return;
  // A reload passes it over once the namespace is gone.
  if (errno == EROFS) return log::error(concat("remove ", quote(path_), ": read-only"));
  throw_errno(concat("remove ", quote(path_)));
}

std::vector<Held> hold(std::string_view plugin, const Request& request) {
  std::vector<Held> out;
  Held::append(out, path_of(plugin, request));
  return out;
}

std::optional<Record> find(std::string_view plugin, const Request& request) {
  const std::string path = path_of(plugin, request);
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  if (!fd.valid()) return std::nullopt;
  return parse(read_all(fd.get(), path));
}

std::vector<Held> hold_others(std::string_view plugin, std::string_view network,
                              const OwnerSet& valid) {
  std::vector<Held> out;
  const std::string prefix = Owner::network_tag(network);
  const std::string suffix = concat(".", plugin);
  for (const std::string& name : names()) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    if (valid.contains(std::string_view(name).substr(0, name.size() - suffix.size()))) continue;
    Held::append(out, concat(kDirectory, "/", name));
  }
  return out;
}

std::vector<Record> list() {
  struct Dated {
    timespec time;
    Record record;
  };
  std::vector<Dated> dated;
  for (const std::string& name : names()) {
    const std::string path = concat(kDirectory, "/", name);
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) continue;
    try {
      dated.push_back({info.st_mtim, parse(read_file(path))});
    } catch (const Error& error) {
      log::warn(concat("record ", quote(path), " left out: ", error.what()));
    }
  }
  std::ranges::sort(dated, {},
                    [](const Dated& one) { return std::pair(one.time.tv_sec, one.time.tv_nsec); });
  std::vector<Record> out;
  out.reserve(dated.size());
  for (Dated& one : dated) out.push_back(std::move(one.record));
  return out;
}

}  // namespace cni::record
