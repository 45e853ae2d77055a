// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "backup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <memory>
#include <vector>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

namespace cni::tuning {
namespace {

constexpr unsigned kDirectoryMode = 0700;
constexpr unsigned kFileMode = 0600;
constexpr std::size_t kMaxTemporary = 200;  // what write_file_atomically keeps of a name
constexpr std::int64_t kMaxU32 = std::numeric_limits<std::uint32_t>::max();

// The directory of the reference's own default has mode 0600: root does not mind.

Json to_json(const Backup& backup) {
  const Settings& settings = backup.settings;
  Json out = Json::object();
  if (settings.mac) out.set("mac", settings.mac->text());
  if (settings.promisc) out.set("promisc", *settings.promisc);
  if (settings.mtu) out.set("mtu", *settings.mtu);
  if (settings.allmulti) out.set("allmulti", *settings.allmulti);
  if (settings.tx_queue_len) out.set("txQLen", *settings.tx_queue_len);
  Json own = Json::object();
  own.set("owner", backup.owner);
  own.set("netns", backup.netns.text());
  Json sysctls = Json::object();
  for (const auto& [entry, value] : settings.sysctls) sysctls.set(entry, value);
  if (!settings.sysctls.empty()) own.set("sysctl", std::move(sysctls));
  out.set("cnipp", std::move(own));
  return out;
}

Backup parse(const JsonRef& json) {
  Backup out;
  Settings& settings = out.settings;
  if (const std::string mac = json["mac"].string_or(""); !mac.empty()) {
    settings.mac = Mac::try_parse(mac);
    if (!settings.mac) json["mac"].fail("not a MAC address");
  }
  if (const JsonRef promisc = json["promisc"]) settings.promisc = promisc.bool_or(false);
  if (const JsonRef allmulti = json["allmulti"]) settings.allmulti = allmulti.bool_or(false);
  if (const auto mtu = json["mtu"].int_or(0, 0, kMaxU32); mtu != 0) {
    settings.mtu = static_cast<unsigned>(mtu);
  }
  if (const auto length = json["txQLen"].integer(0, kMaxU32)) {
    settings.tx_queue_len = static_cast<unsigned>(*length);
  }
  const JsonRef own = json["cnipp"];
  out.owner = own["owner"].string_or("");
  if (const std::string netns = own["netns"].string_or(""); !netns.empty()) {
    // Our first versions wrote the cookie alone.
    const bool whole = netns.find(':') != netns.npos;
    const auto identity = NetNsIdentity::parse(whole ? netns : concat(":0:", netns));
    if (!identity) own["netns"].fail("not a namespace");
    out.netns = *identity;
  }
  for (const auto& [entry, value] : own["sysctl"].members()) {
    settings.sysctls.push_back({entry, value.string()});
  }
  return out;
}

std::optional<Backup> load_from(const std::string& path) {
  const Fd fd = open_file_if_exists(path, O_RDONLY | O_NOFOLLOW);
  if (!fd.valid()) return std::nullopt;
  const std::string text = read_all(fd.get(), path);
  try {
    const Json document = Json::parse(text);
    return parse(document.root());
  } catch (const Error& error) {
    log::warn(concat("backup ", quote(path), " is of no use: ", error.what()));
    return std::nullopt;
  }
}

void unlink_if_exists(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return;
  throw_errno(concat("remove ", quote(path)));
}

/// Names of the entries; none when there is no such directory.
std::vector<std::string> names_in(const std::string& dir) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(dir.c_str()), ::closedir);
  if (!handle) {
    if (errno == ENOENT || errno == ENOTDIR) return out;
    throw_errno(concat("open directory ", quote(dir)));
  }
  errno = 0;
  while (const dirent* entry = ::readdir(handle.get())) out.emplace_back(entry->d_name);
  if (errno != 0) throw_errno(concat("read directory ", quote(dir)));
  return out;
}

}  // namespace

BackupFile::BackupFile(std::string dir, const Owner& owner, std::string_view container_id,
                       std::string_view ifname)
    : dir_(std::move(dir)),
      owner_(owner.tag()),
      name_(concat(container_id, "_", ifname, ".json")),
      own_name_(concat(owner_, ".json")) {}

bool BackupFile::is_anothers(const std::string& path) const {
  const auto backup = load_from(path);
  return backup && !backup->owner.empty() && backup->owner != owner_;
}

std::optional<Backup> BackupFile::load() const {
  if (auto own = load_from(concat(dir_, "/", own_name_))) return own;
  auto backup = load_from(concat(dir_, "/", name_));
  if (backup && !backup->owner.empty() && backup->owner != owner_) backup.reset();
  return backup;
}

void BackupFile::save(const Backup& backup) const {
  make_directories(dir_, kDirectoryMode);
  const std::string path = concat(dir_, "/", name_);
  const bool own_name = name_.size() > NAME_MAX || is_anothers(path);
  write_file_atomically(own_name ? concat(dir_, "/", own_name_) : path, to_json(backup).dump(1),
                        kFileMode);
}

void BackupFile::remove() const {
  const std::string own = concat(".", own_name_, ".");
  const std::string shared = concat(".", name_.substr(0, kMaxTemporary), ".");
  for (const std::string& name : names_in(dir_)) {
    const bool leftover =
        name.ends_with(".tmp") && (name.starts_with(own) || name.starts_with(shared));
    if (name != name_ && name != own_name_ && !leftover) continue;
    const std::string path = concat(dir_, "/", name);
    if (!is_anothers(path)) unlink_if_exists(path);
  }
}

void collect_backups(const std::string& dir, std::string_view network, const OwnerSet& valid) {
  const std::string ours = Owner::network_tag(network);
  ErrorList errors;
  for (const std::string& name : names_in(dir)) {
    const std::string path = concat(dir, "/", name);
    const bool temporary = name.starts_with(".") && name.ends_with(".tmp");
    if (!temporary && !name.ends_with(".json")) continue;
    errors.attempt(concat("collect ", quote(path)), [&] {
      const auto backup = load_from(path);
      if (!backup || !backup->owner.starts_with(ours) || valid.contains(backup->owner)) return;
      unlink_if_exists(path);
    });
  }
  errors.throw_if_any();
}

}  // namespace cni::tuning
