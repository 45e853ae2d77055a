// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// static: answers with the addresses that are written in the configuration or in the request.
//
// On the host:     nothing
// Options and examples: docs/plugins/static.md

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "plugins.h"

namespace cni::static_ipam {
namespace {

struct Config {
  std::vector<IpConfig> addresses;
  std::vector<Route> routes;
  Dns dns;

  /// Everything, validated. `args` is CNI_ARGS. Throws Error{kInvalidConfig} naming the place.
  static Config parse(const NetConf& conf, std::string_view args);
};

[[noreturn]] void refuse(std::string msg) {
  throw Error(ErrorCode::kInvalidConfig, std::move(msg));
}

IpNet parse_cidr(std::string_view text, std::string_view place, std::string_view problem) {
  const auto net = IpNet::try_parse(text);
  if (!net) refuse(concat(place, ": ", problem, ", got: '", text, "'"));
  return *net;
}

/// The comma list, white space around its items removed; none when the text is empty.
std::vector<std::string_view> split_list(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    const auto begin = item.find_first_not_of(kSpace);
    item = begin == item.npos ? std::string_view()
                              : item.substr(begin, item.find_last_not_of(kSpace) + 1 - begin);
    out.push_back(item);
    if (comma == text.npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) out.emplace_back();  // a comma at the end promises an item
  }
  return out;
}

/// A container can have it, and this gateway.
void require_usable(const IpConfig& ip, const std::string& place) {
  if (const auto problem = subnet_problem(ip.address)) refuse(concat(place, ": ", *problem));
  if (!ip.gateway) return;
  if (const auto problem = gateway_problem(ip.address, *ip.gateway)) {
    refuse(concat(place, ": ", *problem));
  }
}

/// The configured address whose subnet holds this one, or nullptr.
const IpConfig* find_holder(const std::vector<IpConfig>& configured, const IpAddress& address) {
  const auto found = std::ranges::find_if(
      configured, [&](const IpConfig& ip) { return ip.address.contains(address); });
  return found == configured.end() ? nullptr : &*found;
}

/// With or without prefix length: then it is that of the configured address whose subnet holds it,
/// as the gateway is.
IpConfig parse_request(std::string_view text, std::string_view place, std::string_view problem,
                       const std::vector<IpConfig>& configured) {
  const auto plain = IpAddress::try_parse(text);
  const IpConfig* const holder = plain ? find_holder(configured, *plain) : nullptr;
  if (holder != nullptr) return {std::nullopt, {*plain, holder->address.prefix}, holder->gateway};
  return {std::nullopt, parse_cidr(text, place, problem), std::nullopt};
}

std::vector<IpConfig> configured(const JsonRef& list) {
  std::vector<IpConfig> out;
  for (const JsonRef& item : list.items()) {
    if (!item.present()) item.fail("expected an object, got null");
    IpConfig ip;
    ip.address = parse_cidr(item["address"].string(), item["address"].path(),
                            "the 'address' field is expected to be in CIDR notation");
    if (const JsonRef gateway = item["gateway"]; !gateway.string_or("").empty()) {
      ip.gateway = IpAddress::try_parse(gateway.string());
      if (!ip.gateway) gateway.fail(concat("invalid gateway address: ", quote(gateway.string())));
    }
    require_usable(ip, item.path());
    out.push_back(std::move(ip));
  }
  return out;
}

/// IP and GATEWAY of CNI_ARGS: a gateway goes to every address of CNI_ARGS whose subnet holds it.
std::vector<IpConfig> from_args(std::string_view text, const std::vector<IpConfig>& configured) {
  const CniArgs args = CniArgs::parse(text, {"IP", "GATEWAY"});
  const std::string ips = args.get("IP");
  const std::string gateways = args.get("GATEWAY");
  std::vector<IpConfig> out;
  for (const std::string_view ip : split_list(ips)) {
    out.push_back(parse_request(ip, "CNI_ARGS", "the 'ip' field is expected to be in CIDR notation",
                                configured));
  }
  for (const std::string_view gateway : split_list(gateways)) {
    const auto address = IpAddress::try_parse(gateway);
    if (!address) refuse(concat("CNI_ARGS: invalid gateway address: ", gateway));
    for (IpConfig& ip : out) {
      if (ip.address.contains(*address)) ip.gateway = address;
    }
  }
  return out;
}

/// A list of requested addresses replaces what was known before, unless it is empty. In a
/// configured subnet they have its gateway.
void replace_by(std::vector<IpConfig>& addresses, const JsonRef& list,
                const std::vector<IpConfig>& configured) {
  std::vector<IpConfig> requested;
  for (const JsonRef& item : list.items()) {
    IpConfig ip = parse_request(item.string(), item.path(),
                                "an entry in the 'ips' field is NOT in CIDR notation", configured);
    const IpConfig* const holder = find_holder(configured, ip.address.address);
    if (holder != nullptr && holder->address.prefix == ip.address.prefix) {
      ip.gateway = holder->gateway;
    }
    require_usable(ip, item.path());
    requested.push_back(std::move(ip));
  }
  if (!requested.empty()) addresses = std::move(requested);
}

Config Config::parse(const NetConf& conf, std::string_view args) {
  const JsonRef ipam = conf.root()["ipam"];
  if (!ipam.present()) refuse("IPAM config missing 'ipam' key");
  Config out;
  const std::vector<IpConfig> fixed = configured(ipam["addresses"]);
  out.addresses = fixed;
  for (IpConfig& ip : from_args(args, fixed)) {
    require_usable(ip, "CNI_ARGS");
    out.addresses.push_back(std::move(ip));
  }
  replace_by(out.addresses, conf.args_cni()["ips"], fixed);
  replace_by(out.addresses, conf.runtime_config()["ips"], fixed);
  for (const JsonRef& route : ipam["routes"].items()) out.routes.push_back(Route::parse(route));
  out.dns = Dns::parse(ipam["dns"]);

  if (conf.version < SpecVersion::k030) {
    const auto v4 = std::ranges::count_if(
        out.addresses, [](const IpConfig& ip) { return ip.address.address.is_v4(); });
    if (v4 > 1 || static_cast<std::ptrdiff_t>(out.addresses.size()) - v4 > 1) {
      refuse(concat("CNI version ", text(conf.version),
                    " does not support more than 1 address per family"));
    }
  }
  return out;
}

Result add(const Request& request) {
  Config config = Config::parse(request.conf, request.args);
  Result result;
  result.ips = std::move(config.addresses);
  result.routes = std::move(config.routes);
  result.dns = std::move(config.dns);
  return result;
}

void del(const Request&) {
  // Nothing was kept, so nothing is left: not even the configuration has to be readable.
}

void gc(const Request&, const OwnerSet&) {
  // As del.
}

/// Every address that ADD would give now is part of prevResult, with its gateway.
void check(const Request& request) {
  const Config config = Config::parse(request.conf, request.args);
  const auto previous = request.conf.prev_result();
  if (!previous) throw Error(ErrorCode::kInvalidConfig, "Required prevResult missing");
  for (const IpConfig& wanted : config.addresses) {
    const auto found = std::ranges::find_if(
        previous->ips, [&](const IpConfig& ip) { return ip.address == wanted.address; });
    if (found == previous->ips.end()) {
      throw Error(ErrorCode::kMismatch,
                  concat("static: Failed to match addr ", wanted.address.text(), " on interface ",
                         request.ifname),
                  "prevResult does not have it");
    }
    if (wanted.gateway && found->gateway != wanted.gateway) {
      throw Error(ErrorCode::kMismatch,
                  concat("static: Failed to match addr ", wanted.address.text(), " on interface ",
                         request.ifname),
                  concat("its gateway is ", found->gateway ? found->gateway->text() : "missing",
                         " in prevResult and ", wanted.gateway->text(), " in the configuration"));
    }
  }
}

void status(const Request& request) {
  try {
    static_cast<void>(Config::parse(request.conf, {}));
  } catch (const Error& error) {
    throw Error(ErrorCode::kNotAvailable, error.msg(), error.details());
  }
}

}  // namespace

const Plugin plugin{
    .name = "static", .add = add, .check = check, .del = del, .gc = gc, .status = status};

}  // namespace cni::static_ipam
