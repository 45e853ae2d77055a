// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "device_record.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <memory>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "model/json.h"

namespace cni::host_device {
namespace {

constexpr const char* kDirectory = "/run/cnipp/devices";
constexpr unsigned kDirectoryMode = 0700;
constexpr unsigned kFileMode = 0600;
constexpr std::string_view kMark = "cnipp-";
constexpr std::size_t kNameDigits = 11;  // of the owner's tag

std::string path_of(std::string_view tag) { return concat(kDirectory, "/", tag); }

Json to_json(const std::vector<netlink::Saved>& all) {
  Json out = Json::array();
  for (const netlink::Saved& one : all) out.push(one.text());
  return out;
}

std::vector<netlink::Saved> parse_saved(const JsonRef& json) {
  std::vector<netlink::Saved> out;
  for (const std::string& text : json.strings()) out.push_back(netlink::Saved::parse(text));
  return out;
}

Json to_json(const std::vector<DeviceRecord::Sysctl>& sysctls) {
  Json out = Json::array();
  for (const auto& [family, key, value] : sysctls) {
    out.push(std::vector<std::string>{family, key, value});
  }
  return out;
}

std::vector<DeviceRecord::Sysctl> parse_sysctls(const JsonRef& json) {
  std::vector<DeviceRecord::Sysctl> out;
  for (const JsonRef& item : json.items()) {
    const std::vector<std::string> parts = item.strings();
    if (parts.size() != 3) item.fail("not a family, a key and a value");
    out.push_back({parts[0], parts[1], parts[2]});
  }
  return out;
}

Json to_json(const DeviceRecord& record) {
  Json out = Json::object();
  out.set("owner", record.owner);
  out.set("netns", record.netns);
  out.set("netnsId", record.identity.text());
  out.set("name", record.name);
  out.set("kind", record.kind);
  out.set("alias", record.alias);
  out.set("altnames", record.second_names);
  out.set("mac", record.mac.text());
  out.set("mtu", record.mtu);
  out.set("up", record.up);
  out.set("ifindex", record.ifindex);
  out.set("master", record.master);
  out.set("parent", record.parent);
  out.set("parentBus", record.parent_bus);
  out.set("addresses", to_json(record.addresses));
  out.set("routes", to_json(record.routes));
  out.set("sysctls", to_json(record.sysctls));
  return out;
}

DeviceRecord parse(const JsonRef& root) {
  constexpr std::int64_t kMax = std::numeric_limits<int>::max();
  DeviceRecord out;
  out.owner = root["owner"].string();
  out.netns = root["netns"].string();
  out.identity = NetNsIdentity::parse(root["netnsId"].string()).value_or(NetNsIdentity{});
  out.name = root["name"].string();
  out.kind = root["kind"].string();
  out.alias = root["alias"].string();
  out.second_names = root["altnames"].strings();
  out.mac = Mac::try_parse(root["mac"].string()).value_or(Mac{});
  out.mtu = static_cast<unsigned>(root["mtu"].int_or(0, 0, kMax));
  out.up = root["up"].bool_or(false);
  out.ifindex = static_cast<int>(root["ifindex"].int_or(0, 0, kMax));
  out.master = root["master"].string();
  out.parent = root["parent"].string();
  out.parent_bus = root["parentBus"].string();
  out.addresses = parse_saved(root["addresses"]);
  out.routes = parse_saved(root["routes"]);
  out.sysctls = parse_sysctls(root["sysctls"]);
  return out;
}

/// The names in a directory; none when there is no directory.
std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) {
    if (errno == ENOENT) return out;
    throw_errno(concat("open directory ", quote(path)));
  }
  while (const dirent* const entry = ::readdir(dir.get())) {
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  return out;
}

/// Of the link, in the calling thread's namespace.
std::vector<DeviceRecord::Sysctl> sysctls_of(const std::string& link) {
  std::vector<DeviceRecord::Sysctl> out;
  for (const char* const family : {"ipv4", "ipv6"}) {
    for (std::string& key : names_in(concat("/proc/sys/net/", family, "/conf/", link))) {
      if (key == "mtu") continue;  // the link's
      try {
        auto value = sysctl::read(sysctl::link_entry(family, link, key));
        if (value) out.push_back({family, std::move(key), *std::move(value)});
      } catch (const Error& error) {
        log::debug(error.what());  // a secret that was never set cannot be read
      }
    }
  }
  return out;
}

}  // namespace

std::string DeviceRecord::mark_of(std::string_view tag) { return concat(kMark, tag); }

bool DeviceRecord::is_mark(std::string_view name) noexcept {
  return name.starts_with(kMark) && Owner::is_tag(name.substr(kMark.size()));
}

std::string DeviceRecord::other_name() const {
  return concat("dev-", std::string_view(owner).substr(owner.size() - kNameDigits));
}

DeviceRecord record_of(netlink::Socket& host, const netlink::Device& device, const Owner& owner) {
  const netlink::Link& link = device.link;
  DeviceRecord out;
  out.owner = owner.tag();
  out.name = link.name;
  out.kind = link.kind;
  out.alias = link.alias;
  for (const std::string& name : device.second_names) {
    if (!DeviceRecord::is_mark(name)) out.second_names.push_back(name);
  }
  out.mac = link.mac;
  out.mtu = link.mtu;
  out.up = link.is_up();
  out.ifindex = link.ifindex;
  if (link.master != 0) {
    if (const auto master = netlink::find_link(host, link.master)) out.master = master->name;
  }
  out.parent = device.parent;
  out.parent_bus = device.parent_bus;
  out.addresses = netlink::save_addresses(host, link.ifindex);
  out.routes = netlink::save_routes(host, link.ifindex);
  out.sysctls = sysctls_of(link.name);
  return out;
}

void save(const DeviceRecord& record) {
  write_file_unnamed(path_of(record.owner), to_json(record).dump(), kFileMode, kDirectoryMode);
}

std::optional<DeviceRecord> find_record(std::string_view tag) {
  const std::string path = path_of(tag);
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  if (!fd.valid()) return std::nullopt;
  const std::string text = read_all(fd.get(), path);
  try {
    const Json document = Json::parse(text);
    return parse(document.root());
  } catch (const Error& error) {
    log::warn(concat("record ", quote(path), " is of no use: ", error.what()));
    return std::nullopt;
  }
}

std::vector<DeviceRecord> list_records() {
  std::vector<DeviceRecord> out;
  for (const std::string& name : names_in(kDirectory)) {
    if (!Owner::is_tag(name)) continue;
    if (auto record = find_record(name)) out.push_back(*std::move(record));
  }
  return out;
}

std::vector<DeviceRecord> list_others(std::string_view network, const OwnerSet& valid) {
  std::vector<DeviceRecord> out = list_records();
  std::erase_if(out, [&](const DeviceRecord& record) {
    return !record.owner.starts_with(Owner::network_tag(network)) || valid.contains(record.owner);
  });
  return out;
}

void remove_record(std::string_view tag) {
  const std::string path = path_of(tag);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno(concat("remove ", quote(path)));
}

}  // namespace cni::host_device
