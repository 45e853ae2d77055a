// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "bridge_config.h"

#include "base/concat.h"
#include "base/error.h"

namespace cni::bridge {
namespace {

constexpr std::int64_t kMaxMtu = 65535;

/// runtimeConfig before args.cni before CNI_ARGS.
std::optional<Mac> parse_mac(const Request& request) {
  const CniArgs args = CniArgs::parse(request.args, {"MAC"});
  const JsonRef runtime = request.conf.runtime_config()["mac"];
  const JsonRef cni = request.conf.args_cni()["mac"];
  std::string text = runtime.string_or("");
  std::string where = runtime.path();
  if (text.empty()) {
    text = cni.string_or("");
    where = cni.path();
  }
  if (text.empty()) {
    text = args.get("MAC");
    where = "CNI_ARGS: MAC";
  }
  if (text.empty()) return std::nullopt;
  const auto mac = Mac::try_parse(text);
  if (!mac) {
    throw Error(ErrorCode::kInvalidConfig, concat(where, ": not a MAC address: ", quote(text)));
  }
  if ((mac->bytes[0] & 1) != 0 || mac->is_zero()) {
    throw Error(ErrorCode::kInvalidConfig,
                concat(where, ": not a unicast MAC address: ", quote(text)));
  }
  return mac;
}

/// Even an empty list replaces the IPAM plugin's dns; {} does not.
std::optional<Dns> parse_dns(const JsonRef& json) {
  const bool given = json["nameservers"].present() || json["search"].present() ||
                     json["options"].present() || !json["domain"].string_or("").empty();
  if (!given) return std::nullopt;
  return Dns::parse(json);
}

void refuse_unsupported(const JsonRef& root) {
  const auto refuse = [](const JsonRef& key) {
    throw Error(ErrorCode::kUnsupportedField,
                concat(key.path(), ": not supported yet: ", key.text()));
  };
  if (root["vlan"].int_or(0, -1, 1 << 30) != 0) refuse(root["vlan"]);
  if (!root["vlanTrunk"].items().empty()) refuse(root["vlanTrunk"]);
  if (root["preserveDefaultVlan"].bool_or(false)) refuse(root["preserveDefaultVlan"]);
  if (root["macspoofchk"].bool_or(false)) refuse(root["macspoofchk"]);
  const JsonRef backend = root["ipMasqBackend"];
  const std::string name = backend.string_or("");
  if (name == "iptables") refuse(backend);
  if (!name.empty() && name != "nftables") {
    backend.fail(concat("unknown ipmasq backend ", quote(name)));
  }
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
  out.ip_masq = root["ipMasq"].bool_or(false);
  // Values below 1 mean the default, as in the reference.
  const std::int64_t mtu = root["mtu"].int_or(0, INT32_MIN, kMaxMtu);
  out.mtu = mtu > 0 ? static_cast<unsigned>(mtu) : 0;
  out.hairpin_mode = root["hairpinMode"].bool_or(false);
  out.promisc_mode = root["promiscMode"].bool_or(false);
  out.enable_dad = root["enabledad"].bool_or(false);
  out.disable_container_interface = root["disableContainerInterface"].bool_or(false);
  out.port_isolation = root["portIsolation"].bool_or(false);
  out.has_ipam = !root["ipam"]["type"].string_or("").empty();
  out.dns = parse_dns(root["dns"]);
  out.mac = parse_mac(request);
  refuse_unsupported(root);
  require_consistent(out);
  return out;
}

Config Config::parse_leniently(const Request& request) noexcept {
  Config out;
  const JsonRef root = request.conf.root();
  const auto flag = [&](std::string_view key) {
    try {
      return root[key].bool_or(false);
    } catch (const std::exception&) {
      return false;
    }
  };
  try {
    out.bridge = root["bridge"].string_or(out.bridge);
  } catch (const std::exception&) {
    out.bridge.clear();
  }
  out.ip_masq = flag("ipMasq");
  return out;
}

}  // namespace cni::bridge
