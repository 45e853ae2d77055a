// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "lease_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <memory>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "model/owner.h"

namespace cni::dhcp {
namespace {

constexpr unsigned kFileMode = 0600, kDirectoryMode = 0700;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

std::string to_hex(View bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += hex(byte, 2);
  return out;
}

Bytes from_hex(const JsonRef& json) {
  const std::string text = json.string();
  Bytes out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char* const begin = &text[2 * i];
    const auto [end, error] = std::from_chars(begin, begin + 2, out[i], 16);
    if (error != std::errc() || end != begin + 2) json.fail("not hexadecimal");
  }
  return out;
}

/// Milliseconds; absent for a time that never comes.
void set_time(Json& json, std::string_view key, Time time) {
  if (time != kNever) json.set(key, std::int64_t{time.count()});
}

Time get_time(const JsonRef& json) {
  const auto value = json.integer(std::numeric_limits<std::int64_t>::min(), kMax);
  return value ? Time(*value) : kNever;
}

Mac get_mac(const JsonRef& json) {
  const auto mac = Mac::try_parse(json.string());
  if (!mac) json.fail("not a MAC address");
  return *mac;
}

void unlink_if_exists(const std::string& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) throw_errno(concat("unlink ", file));
}

Json to_json(const Lease& lease) {
  Json out = Json::object();
  out.set("address", lease.address.text());
  out.set("server", lease.server.text());
  out.set("sender", lease.sender.text());
  set_time(out, "renew", lease.t1);
  set_time(out, "rebind", lease.t2);
  set_time(out, "expire", lease.expiry);
  Json options = Json::object();
  for (const auto& [code, value] : lease.options) options.set(concat(code), to_hex(value));
  out.set("options", std::move(options));
  return out;
}

Lease parse_lease(const JsonRef& json) {
  Lease out{.address = IpAddress::parse(json["address"].string()),
            .server = IpAddress::parse(json["server"].string()),
            .sender = get_mac(json["sender"]),
            .options = {},
            .t1 = get_time(json["renew"]),
            .t2 = get_time(json["rebind"]),
            .expiry = get_time(json["expire"])};
  for (const auto& [key, value] : json["options"].members()) {
    std::uint8_t code = 0;
    std::from_chars(key.data(), key.data() + key.size(), code);
    out.options[code] = from_hex(value);
  }
  return out;
}

}  // namespace

Json LeaseRecord::to_json() const {
  Json out = Json::object();
  out.set("network", network);
  out.set("containerId", call.container_id);
  out.set("ifname", call.ifname);
  out.set("netns", call.netns);
  out.set("args", call.args);
  out.set("config", call.config);
  out.set("netnsIdentity", netns.text());
  out.set("ifindex", ifindex);
  out.set("mac", mac.text());
  out.set("broadcast", broadcast);
  out.set("lease", dhcp::to_json(lease));
  return out;
}

LeaseRecord LeaseRecord::parse(const JsonRef& json) {
  LeaseRecord out;
  out.network = json["network"].string();
  out.call.container_id = json["containerId"].string();
  out.call.ifname = json["ifname"].string();
  out.call.netns = json["netns"].string_or("");
  out.call.args = json["args"].string_or("");
  out.call.config = json["config"].string();
  const auto netns = NetNsIdentity::parse(json["netnsIdentity"].string());
  if (!netns) json["netnsIdentity"].fail("not a namespace's identity");
  out.netns = *netns;
  out.ifindex = static_cast<int>(json["ifindex"].int_or(0, 0, std::numeric_limits<int>::max()));
  out.mac = get_mac(json["mac"]);
  out.broadcast = json["broadcast"].bool_or(false);
  out.lease = parse_lease(json["lease"]);
  out.tag = Owner(out.network, out.call.container_id, out.call.ifname).tag();
  return out;
}

LeaseFiles::LeaseFiles(std::string_view socket_path) : directory_(concat(socket_path, ".d")) {}

std::string LeaseFiles::path(std::string_view tag) const { return concat(directory_, "/", tag); }

std::string LeaseFiles::mark(std::string_view tag) const { return concat(path(tag), ".release"); }

void LeaseFiles::ensure_directory() const { make_directories(directory_, kDirectoryMode); }

bool LeaseFiles::exists() const { return ::access(directory_.c_str(), F_OK) == 0; }

void LeaseFiles::save(const LeaseRecord& record) const {
  unlink_if_exists(mark(record.tag));
  write_file_atomically(path(record.tag), record.to_json().dump(), kFileMode);
}

void LeaseFiles::remove(std::string_view tag) const {
  // The mark first: alone it would hit the next lease of this attachment.
  unlink_if_exists(mark(tag));
  unlink_if_exists(path(tag));
}

bool LeaseFiles::has(std::string_view tag) const { return ::access(path(tag).c_str(), F_OK) == 0; }

std::optional<LeaseRecord> LeaseFiles::find(std::string_view tag) const {
  const std::string file = path(tag);
  const Fd fd = open_file_if_exists(file, O_RDONLY);
  if (!fd.valid()) return std::nullopt;
  try {
    LeaseRecord out = LeaseRecord::parse(Json::parse(read_all(fd.get(), file)).root());
    if (out.tag != tag) throw Error(ErrorCode::kDecode, "it is of another attachment");
    return out;
  } catch (const Error& error) {
    throw Error(error.code(), concat(file, ": ", error.msg()), error.details());
  }
}

std::vector<std::string> LeaseFiles::list() const {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory_.c_str()), ::closedir);
  if (dir == nullptr) {
    if (errno == ENOENT || errno == ENOTDIR) return out;
    throw_errno(concat("open ", directory_));
  }
  while (const dirent* const entry = ::readdir(dir.get())) {
    if (Owner::is_tag(entry->d_name)) out.emplace_back(entry->d_name);
  }
  std::ranges::sort(out);
  return out;
}

void LeaseFiles::mark_for_release(std::string_view tag) const {
  static_cast<void>(open_file(mark(tag), O_WRONLY | O_CREAT, kFileMode));
}

bool LeaseFiles::is_marked(std::string_view tag) const {
  return ::access(mark(tag).c_str(), F_OK) == 0;
}

}  // namespace cni::dhcp
