// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "layer3.h"

#include <algorithm>
#include <optional>

#include "attach/layer3.h"
#include "base/concat.h"
#include "base/error.h"

namespace cni::bridge {
namespace {

void add_gateway(const JsonRef& range, std::vector<IpNet>& out) {
  if (!range.is_object() || !range["subnet"].is_string()) return;
  const auto subnet = IpNet::try_parse(range["subnet"].string());
  if (!subnet) return;
  auto gateway = std::optional(subnet->address.network(subnet->prefix).next());
  if (const JsonRef given = range["gateway"]; given.is_string() && !given.string().empty()) {
    gateway = IpAddress::try_parse(given.string());
  }
  if (gateway) out.push_back({*gateway, subnet->prefix});
}

}  // namespace

Result complete(const Config& conf, Result result) {
  for (IpConfig& ip : result.ips) {
    ip.interface = kContainerIndex;
    require_possible_address(ip);
    if (!ip.gateway && conf.is_gateway) {
      ip.gateway = ip.address.address.network(ip.address.prefix).next();
    }
    if (conf.is_gateway && *ip.gateway == ip.address.address) {
      throw Error(
          ErrorCode::kDelegate,
          concat("IPAM plugin returned address ", ip.address.text(), " with itself as the gateway"),
          "the gateway's address is the bridge's");
    }
    if (!conf.is_default_gateway || !ip.gateway) continue;
    const Family family = ip.address.family();
    const bool has_default = std::ranges::any_of(result.routes, [&](const Route& route) {
      return route.is_default() && route.dst.family() == family;
    });
    if (has_default) continue;
    const auto* any = family == Family::kV4 ? "0.0.0.0/0" : "::/0";
    result.routes.push_back({.dst = IpNet::parse(any), .gw = ip.gateway});
  }
  return result;
}

std::vector<IpNet> gateways_of(const Result& result) {
  std::vector<IpNet> out;
  for (const IpConfig& ip : result.ips) {
    if (!ip.gateway) continue;
    const IpNet gateway{*ip.gateway, ip.address.prefix};
    if (std::ranges::find(out, gateway) == out.end()) out.push_back(gateway);
  }
  return out;
}

std::vector<IpNet> possible_gateways(const Request& request) {
  const JsonRef ipam = request.conf.root()["ipam"];
  std::vector<IpNet> out;
  if (!ipam.is_object()) return out;
  add_gateway(ipam, out);
  for (const JsonRef& sets : {ipam["ranges"], request.conf.runtime_config()["ipRanges"]}) {
    if (!sets.is_array()) continue;
    for (const JsonRef& set : sets.items()) {
      if (!set.is_array()) continue;
      for (const JsonRef& range : set.items()) add_gateway(range, out);
    }
  }
  return out;
}

}  // namespace cni::bridge
