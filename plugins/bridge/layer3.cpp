// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "layer3.h"

#include <algorithm>

namespace cni::bridge {
namespace {

constexpr const char* kForwardV4 = "net/ipv4/ip_forward";
constexpr const char* kForwardV6 = "net/ipv6/conf/all/forwarding";

}  // namespace

Result complete(const Config& conf, Result result) {
  for (IpConfig& ip : result.ips) {
    ip.interface = kContainerIndex;
    if (!ip.gateway && conf.is_gateway) {
      ip.gateway = ip.address.address.network(ip.address.prefix).next();
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

Masquerade masquerade_of(Host& host, const Request& request) {
  return {host, request.conf.name, request.attachment()};
}

std::vector<IpNet> addresses_of(const Result& result) {
  std::vector<IpNet> out;
  for (const IpConfig& ip : result.ips) out.push_back(ip.address);
  return out;
}

std::vector<const char*> forwarding_entries(const std::vector<IpNet>& gateways) {
  std::vector<const char*> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const bool wanted = std::ranges::any_of(
        gateways, [&](const IpNet& gateway) { return gateway.family() == family; });
    if (wanted) out.push_back(family == Family::kV4 ? kForwardV4 : kForwardV6);
  }
  return out;
}

}  // namespace cni::bridge
