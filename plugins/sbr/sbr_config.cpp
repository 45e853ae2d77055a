// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "sbr_config.h"

#include <algorithm>
#include <limits>

#include "base/concat.h"
#include "base/error.h"
#include "protocol/chained.h"

namespace cni::sbr {
namespace {

std::vector<IpAddress> parse_gateways(const JsonRef& json) {
  std::vector<IpAddress> out;
  for (const JsonRef& item : json.items()) {
    const std::string text = item.string();
    const auto address = IpAddress::try_parse(text);
    if (!address) item.fail(concat("invalid static gateway IP address: ", quote(text)));
    const auto other = std::ranges::find(out, address->family(), &IpAddress::family);
    if (other != out.end()) {
      json.fail(concat("gateways list contains multiple ", address->is_v4() ? "IPv4" : "IPv6",
                       " addresses: ", other->text(), " and ", address->text()));
    }
    out.push_back(*address);
  }
  return out;
}

std::optional<IpAddress> gateway_of(const Config& conf, const Result& previous,
                                    const IpConfig& ip) {
  const auto fixed = std::ranges::find(conf.gateways, ip.address.family(), &IpAddress::family);
  if (fixed != conf.gateways.end()) return *fixed;
  if (ip.gateway) return ip.gateway;
  std::optional<IpAddress> out;
  for (const Route& route : previous.routes) {
    if (!route.gw || !ip.address.network().contains(*route.gw)) continue;
    if (route.is_default()) return route.gw;
    if (!out) out = route.gw;
  }
  return out;
}

}  // namespace

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  if (const auto table = root["table"].integer(1, std::numeric_limits<std::uint32_t>::max())) {
    out.table = static_cast<unsigned>(*table);
  }
  out.gateways = parse_gateways(root["gateways"]);
  out.source_hints = root["addSourceHints"].bool_or(false);
  return out;
}

std::vector<Source> sources_of(const Config& conf, const Result& previous,
                               const std::string& ifname) {
  std::vector<Source> out;
  for (const IpNet& address : attachment_addresses(previous, ifname)) {
    const auto ip = std::ranges::find(previous.ips, address, &IpConfig::address);
    out.push_back({address, gateway_of(conf, previous, *ip)});
  }
  if (out.empty()) {
    throw Error(ErrorCode::kInvalidConfig,
                concat("prevResult.ips: no addresses of interface ", quote(ifname)));
  }
  return out;
}

}  // namespace cni::sbr
