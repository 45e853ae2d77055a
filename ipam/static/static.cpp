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
    out.push_back(std::move(ip));
  }
  return out;
}

/// IP and GATEWAY of CNI_ARGS: a gateway goes to every address of CNI_ARGS whose subnet holds it.
std::vector<IpConfig> from_args(std::string_view text) {
  const CniArgs args = CniArgs::parse(text, {"IP", "GATEWAY"});
  const std::string ips = args.get("IP");
  const std::string gateways = args.get("GATEWAY");
  std::vector<IpConfig> out;
  for (const std::string_view ip : split_list(ips)) {
    out.push_back({std::nullopt,
                   parse_cidr(ip, "CNI_ARGS", "the 'ip' field is expected to be in CIDR notation"),
                   std::nullopt});
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

/// A list of requested addresses replaces what was known before, unless it is empty.
void replace_by(std::vector<IpConfig>& addresses, const JsonRef& list) {
  std::vector<IpConfig> requested;
  for (const JsonRef& item : list.items()) {
    requested.push_back({std::nullopt,
                         parse_cidr(item.string(), item.path(),
                                    "an entry in the 'ips' field is NOT in CIDR notation"),
                         std::nullopt});
  }
  if (!requested.empty()) addresses = std::move(requested);
}

Config Config::parse(const NetConf& conf, std::string_view args) {
  const JsonRef ipam = conf.root()["ipam"];
  if (!ipam.present()) refuse("IPAM config missing 'ipam' key");
  Config out;
  out.addresses = configured(ipam["addresses"]);
  const std::vector<IpConfig> more = from_args(args);
  out.addresses.insert(out.addresses.end(), more.begin(), more.end());
  replace_by(out.addresses, conf.args_cni()["ips"]);
  replace_by(out.addresses, conf.runtime_config()["ips"]);
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
