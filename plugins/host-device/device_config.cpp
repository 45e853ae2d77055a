// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "device_config.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

#include "attach/layer3.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni::host_device {
namespace {

using netlink::Device;
using netlink::Link;
namespace fs = std::filesystem;

constexpr std::string_view kSysDevices = "/sys/devices/";

/// 0000:03:00.0
bool is_pci_address(std::string_view text) {
  constexpr std::string_view kShape = "hhhh:hh:hh.h";
  return text.size() == kShape.size() && std::ranges::equal(text, kShape, [](char c, char shape) {
           return shape == 'h' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == shape;
         });
}

std::string parse_device_name(const JsonRef& json) {
  std::string name = json.string_or("");
  if (name.find('/') != std::string::npos) json.fail(concat("not a name: ", quote(name)));
  return name;
}

std::string parse_kernel_path(const JsonRef& json) {
  const std::string given = json.string_or("");
  if (given.empty()) return {};
  std::string path = fs::path(given).lexically_normal().string();
  if (!path.starts_with(kSysDevices)) {
    json.fail(concat("must be absolute and begin with ", kSysDevices, ": ", quote(given)));
  }
  while (path.ends_with('/')) path.pop_back();
  return path;
}

std::string parse_pci(const JsonRef& json) {
  std::string address = json.string_or("");
  if (!address.empty() && !is_pci_address(address)) {
    json.fail(concat("not a PCI address like 0000:03:00.0: ", quote(address)));
  }
  return address;
}

std::string parse_device_id(const JsonRef& json) {
  std::string id = json.string_or("");
  if (id.find('/') != std::string::npos || id == "." || id == "..") {
    json.fail(concat("not the id of a device: ", quote(id)));
  }
  return id;
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string pci_dir(const std::string& address) { return concat("/sys/bus/pci/devices/", address); }
std::string auxiliary_dir(const std::string& id) {
  return concat("/sys/bus/auxiliary/devices/", id);
}

/// The entries of a directory, sorted; none when there is no such directory.
std::vector<std::string> entries_of(const std::string& dir) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    out.push_back(at->path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

/// The link that `dir` has in its folder "net". /sys may show another namespace than ours, where
/// the name is another link's: then the number differs.
std::optional<Device> link_in(netlink::Socket& host, const std::string& dir) {
  for (const std::string& name : entries_of(concat(dir, "/net"))) {
    auto device = netlink::find_device(host, name);
    if (!device || device->link.name != name) continue;
    const std::string number = concat(dir, "/net/", name, "/ifindex");
    if (exists(number) && read_file(number) != concat(device->link.ifindex, "\n")) continue;
    return device;
  }
  return std::nullopt;
}

/// Also of one that is a virtio device on a PCI device.
std::optional<Device> link_of_pci(netlink::Socket& host, const std::string& address) {
  const std::string dir = pci_dir(address);
  if (auto device = link_in(host, dir)) return device;
  for (const std::string& entry : entries_of(dir)) {
    if (!entry.starts_with("virtio")) continue;
    if (auto device = link_in(host, concat(dir, "/", entry))) return device;
  }
  return std::nullopt;
}

/// Links on other links and bridges share their MAC: hardware goes before them.
std::optional<Device> link_with_mac(netlink::Socket& host, const Mac& mac) {
  std::vector<Link> found;
  for (Link& link : netlink::list_links(host)) {
    if (link.mac == mac) found.push_back(std::move(link));
  }
  const bool has_hardware =
      std::ranges::any_of(found, [](const Link& link) { return link.kind.empty(); });
  if (has_hardware) std::erase_if(found, [](const Link& link) { return !link.kind.empty(); });
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    throw Error(ErrorCode::kConflict,
                concat("hwaddr: links ", quote(found[0].name), " and ", quote(found[1].name),
                       " have the MAC ", mac.text()),
                "name the device by another key");
  }
  return netlink::find_device(host, found[0].name);
}

std::optional<Device> find(netlink::Socket& host, const Config& conf) {
  if (!conf.device_id.empty()) {
    const bool is_pci = exists(pci_dir(conf.device_id));
    return is_pci ? link_of_pci(host, conf.device_id)
                  : link_in(host, auxiliary_dir(conf.device_id));
  }
  if (!conf.device.empty()) return netlink::find_device(host, conf.device);
  if (conf.hwaddr) return link_with_mac(host, *conf.hwaddr);
  if (!conf.kernel_path.empty()) return link_in(host, conf.kernel_path);
  return link_of_pci(host, conf.pci);
}

std::string missing(const Config& conf) {
  if (!conf.device_id.empty()) {
    const bool known = exists(pci_dir(conf.device_id)) || exists(auxiliary_dir(conf.device_id));
    return concat("runtimeConfig.deviceID: ",
                  known ? "no link of this host belongs to device "
                        : "neither a PCI nor an auxiliary device: ",
                  quote(conf.device_id));
  }
  if (!conf.device.empty()) return concat("device: the host has no link ", quote(conf.device));
  if (conf.hwaddr) return concat("hwaddr: the host has no link with MAC ", conf.hwaddr->text());
  if (!conf.kernel_path.empty()) {
    return concat("kernelpath: no link of this host is in ", quote(conf.kernel_path));
  }
  return concat("pciBusID: no link of this host belongs to PCI device ", quote(conf.pci));
}

}  // namespace

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  out.device_id = parse_device_id(request.conf.runtime_config()["deviceID"]);
  out.device = parse_device_name(root["device"]);
  if (const std::string mac = root["hwaddr"].string_or(""); !mac.empty()) {
    out.hwaddr = Mac::try_parse(mac);
    if (!out.hwaddr) root["hwaddr"].fail(concat("not a MAC address: ", quote(mac)));
  }
  out.kernel_path = parse_kernel_path(root["kernelpath"]);
  out.pci = parse_pci(root["pciBusID"]);
  out.use_interface_network = root["useInterfaceNetwork"].bool_or(false);
  out.has_ipam = !root["ipam"]["type"].string_or("").empty();
  out.dns = parse_dns(root["dns"]);
  return out;
}

bool Config::names_one() const noexcept {
  return !device_id.empty() || !device.empty() || hwaddr || !kernel_path.empty() || !pci.empty();
}

std::string Config::pci_address() const {
  if (!device_id.empty()) return exists(pci_dir(device_id)) ? device_id : std::string();
  if (!device.empty() || hwaddr || !kernel_path.empty()) return {};
  return pci;
}

void require_selector(const Config& conf) {
  if (conf.names_one()) return;
  throw Error(ErrorCode::kInvalidConfig,
              "specify either \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\"");
}

bool is_for_programs(const Config& conf) {
  const std::string address = conf.pci_address();
  if (address.empty()) return false;
  std::error_code none;  // without a driver it has no link either, which is reported then
  const std::string driver =
      fs::read_symlink(concat(pci_dir(address), "/driver"), none).filename().string();
  return driver == "vfio-pci" || driver == "uio_pci_generic" || driver == "igb_uio";
}

Device get_device(netlink::Socket& host, const Config& conf, ErrorCode code) {
  auto device = find(host, conf);
  if (!device) throw Error(code, missing(conf));
  return *std::move(device);
}

}  // namespace cni::host_device
