// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "bridge_config.h"

#include <bitset>

#include "attach/layer3.h"
#include "base/concat.h"
#include "base/error.h"

namespace cni::bridge {
namespace {

constexpr std::int64_t kMaxVlan = 4094;

std::uint16_t vlan_id(const JsonRef& json, std::string_view problem) {
  try {
    return static_cast<std::uint16_t>(json.int_or(0, 1, kMaxVlan));
  } catch (const Error&) {
    json.fail(concat(problem, ": must be between 1 and ", kMaxVlan, ", got ", json.text()));
  }
}

/// Entries are {"id"}, {"minID", "maxID"} or both; {} is none.
std::vector<std::uint16_t> parse_trunk(const JsonRef& json) {
  std::bitset<kMaxVlan + 1> wanted;
  for (const JsonRef& item : json.items()) {
    if (!item.present()) item.fail("expected an object, got null");
    const JsonRef id = item["id"];
    const JsonRef min = item["minID"];
    const JsonRef max = item["maxID"];
    if (min.present() != max.present()) {
      item.fail(concat("minID and maxID should be configured simultaneously, ",
                       min.present() ? "maxID" : "minID", " is missing"));
    }
    if (min.present()) {
      const std::uint16_t first = vlan_id(min, "incorrect trunk minID parameter");
      const std::uint16_t last = vlan_id(max, "incorrect trunk maxID parameter");
      if (first > last) item.fail("minID is greater than maxID in trunk parameter");
      for (std::size_t vlan = first; vlan <= last; ++vlan) wanted.set(vlan);
    }
    if (id.present()) wanted.set(vlan_id(id, "incorrect trunk id parameter"));
  }
  std::vector<std::uint16_t> out;
  for (std::uint16_t vlan = 1; vlan <= kMaxVlan; ++vlan) {
    if (wanted[vlan]) out.push_back(vlan);
  }
  return out;
}

void parse_vlans(const JsonRef& root, Config& out) {
  const JsonRef vlan = root["vlan"];
  try {
    out.vlan = static_cast<std::uint16_t>(vlan.int_or(0, 0, kMaxVlan));
  } catch (const Error&) {
    vlan.fail(concat("invalid VLAN ID ", vlan.text(), " (must be between 0 and ", kMaxVlan, ")"));
  }
  out.vlan_trunk = parse_trunk(root["vlanTrunk"]);
  // An empty trunk list asks for filtering too.
  out.vlan_filtering = out.vlan != 0 || root["vlanTrunk"].present();
  out.preserve_default_vlan = root["preserveDefaultVlan"].bool_or(false);
}

void require_consistent(const Config& conf) {
  if (conf.hairpin_mode && conf.promisc_mode) {
    throw Error(
        ErrorCode::kInvalidConfig,
        "hairpinMode, promiscMode: cannot set hairpin mode and promiscuous mode at the same "
        "time");
  }
  if (conf.disable_container_interface && conf.has_ipam) {
    throw Error(ErrorCode::kInvalidConfig,
                "disableContainerInterface: cannot use IPAM when DisableContainerInterface flag is "
                "set");
  }
}

}  // namespace

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  out.bridge = root["bridge"].string_or(out.bridge);
  if (const auto problem = interface_name_problem(out.bridge)) {
    root["bridge"].fail(concat(problem->first, ": ", quote(out.bridge)));
  }
  out.is_default_gateway = root["isDefaultGateway"].bool_or(false);
  out.is_gateway = root["isGateway"].bool_or(false) || out.is_default_gateway;
  out.force_address = root["forceAddress"].bool_or(false);
  out.mtu = parse_mtu(root["mtu"]);
  out.hairpin_mode = root["hairpinMode"].bool_or(false);
  out.promisc_mode = root["promiscMode"].bool_or(false);
  out.enable_dad = root["enabledad"].bool_or(false);
  out.disable_container_interface = root["disableContainerInterface"].bool_or(false);
  out.port_isolation = root["portIsolation"].bool_or(false);
  out.has_ipam = !root["ipam"]["type"].string_or("").empty();
  out.dns = parse_dns(root["dns"]);
  static_cast<void>(CniArgs::parse(request.args, {"MAC"}));  // others are refused
  out.mac = parse_mac(request);
  parse_vlans(root, out);
  out.mac_spoof_check = root["macspoofchk"].bool_or(false);
  out.ip_masq = masquerade::Settings::parse(root);
  require_consistent(out);
  return out;
}

Config Config::parse_leniently(const Request& request) noexcept {
  Config out;
  const JsonRef root = request.conf.root();
  try {
    out.bridge = root["bridge"].string_or(out.bridge);
  } catch (const std::exception&) {
    out.bridge.clear();
  }
  return out;
}

}  // namespace cni::bridge
