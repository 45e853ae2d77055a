// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Results of every version of the specification, to and from the latest shape (model/result.h).
#include "base/concat.h"
#include "base/error.h"
#include "model/result.h"

namespace cni {
namespace {

constexpr std::int64_t kMaxInterfaces = 1'000'000;

IpNet parse_net(const JsonRef& json) {
  const auto net = IpNet::try_parse(json.string());
  if (!net) json.fail(concat("not a CIDR: ", quote(json.string())));
  return *net;
}

std::optional<IpAddress> parse_address(const JsonRef& json) {
  const std::string text = json.string_or("");
  if (text.empty()) return {};
  const auto address = IpAddress::try_parse(text);
  if (!address) json.fail(concat("not an IP address: ", quote(text)));
  return address;
}

Interface parse_interface(const JsonRef& json) {
  Interface out;
  out.name = json["name"].string_or("");
  out.mac = json["mac"].string_or("");
  out.mtu = static_cast<unsigned>(json["mtu"].int_or(0, 0, 0x7fffffff));
  out.sandbox = json["sandbox"].string_or("");
  out.socket_path = json["socketPath"].string_or("");
  out.pci_id = json["pciID"].string_or("");
  return out;
}

/// 0.1.0 and 0.2.0: one address per family, its routes beside it.
void parse_legacy_family(const JsonRef& json, Result& result) {
  if (!json.present()) return;
  result.ips.push_back({std::nullopt, parse_net(json["ip"]), parse_address(json["gateway"])});
  for (const JsonRef& route : json["routes"].items()) result.routes.push_back(Route::parse(route));
}

Json legacy_routes(const Result& result, Family family) {
  Json out = Json::array();
  for (const Route& route : result.routes) {
    if (route.dst.family() != family) continue;
    Json entry = Json::object();
    entry.set("dst", route.dst.text());
    if (route.gw) entry.set("gw", route.gw->text());
    out.push(std::move(entry));
  }
  return out;
}

Json legacy_json(const Result& result, SpecVersion version) {
  Json out = Json::object();
  out.set("cniVersion", text(version));
  bool any = false;
  for (const Family family : {Family::kV4, Family::kV6}) {
    for (const IpConfig& ip : result.ips) {
      if (ip.address.family() != family) continue;
      Json entry = Json::object();
      entry.set("ip", ip.address.text());
      if (ip.gateway) entry.set("gateway", ip.gateway->text());
      Json routes = legacy_routes(result, family);
      if (routes.size() > 0) entry.set("routes", std::move(routes));
      out.set(family == Family::kV4 ? "ip4" : "ip6", std::move(entry));
      any = true;
      break;  // this version has room for one address of a family
    }
  }
  if (!any) require_expressible_without_addresses(version);
  out.set("dns", result.dns.to_json());
  return out;
}

Json interface_json(const Interface& interface, SpecVersion version) {
  Json out = Json::object();
  out.set("name", interface.name);
  if (!interface.mac.empty()) out.set("mac", interface.mac);
  if (!interface.sandbox.empty()) out.set("sandbox", interface.sandbox);
  if (version >= SpecVersion::k110) {
    if (interface.mtu != 0) out.set("mtu", interface.mtu);
    if (!interface.socket_path.empty()) out.set("socketPath", interface.socket_path);
    if (!interface.pci_id.empty()) out.set("pciID", interface.pci_id);
  }
  return out;
}

Json ip_json(const IpConfig& ip, SpecVersion version) {
  Json out = Json::object();
  if (version < SpecVersion::k100) out.set("version", ip.address.address.is_v4() ? "4" : "6");
  if (ip.interface) out.set("interface", *ip.interface);
  out.set("address", ip.address.text());
  if (ip.gateway) out.set("gateway", ip.gateway->text());
  return out;
}

}  // namespace

Result parse_result(const JsonRef& json, SpecVersion version_if_missing) {
  Result out;
  if (!json.present()) return out;
  const std::string declared = json["cniVersion"].string_or("");
  const SpecVersion version = declared.empty() ? version_if_missing : parse_version(declared);
  if (version <= SpecVersion::k020) {
    parse_legacy_family(json["ip4"], out);
    parse_legacy_family(json["ip6"], out);
  } else {
    for (const JsonRef& item : json["interfaces"].items()) {
      out.interfaces.push_back(parse_interface(item));
    }
    for (const JsonRef& item : json["ips"].items()) {
      IpConfig ip;
      if (const auto index = item["interface"].integer(-1, kMaxInterfaces)) {
        ip.interface = static_cast<int>(*index);
      }
      ip.address = parse_net(item["address"]);
      ip.gateway = parse_address(item["gateway"]);
      out.ips.push_back(ip);
    }
    for (const JsonRef& item : json["routes"].items()) out.routes.push_back(Route::parse(item));
  }
  out.dns = Dns::parse(json["dns"]);
  drop_unspecified_gateways(out);
  return out;
}

Json to_json(const Result& result, SpecVersion version) {
  if (version <= SpecVersion::k020) return legacy_json(result, version);
  Json out = Json::object();
  out.set("cniVersion", text(version));
  Json interfaces = Json::array();
  for (const Interface& interface : result.interfaces) {
    interfaces.push(interface_json(interface, version));
  }
  if (!result.interfaces.empty()) out.set("interfaces", std::move(interfaces));
  Json ips = Json::array();
  for (const IpConfig& ip : result.ips) ips.push(ip_json(ip, version));
  if (!result.ips.empty()) out.set("ips", std::move(ips));
  Json routes = Json::array();
  for (const Route& route : result.routes) routes.push(route.to_json());
  if (!result.routes.empty()) out.set("routes", std::move(routes));
  // Up to 0.4.0 "dns" is always there; later versions leave it out when it is empty.
  if (version < SpecVersion::k100 || !result.dns.empty()) out.set("dns", result.dns.to_json());
  return out;
}

void require_expressible_without_addresses(SpecVersion version) {
  if (version > SpecVersion::k020) return;
  throw Error(ErrorCode::kInternal, "cannot convert: no valid IP addresses",
              concat("a result of version ", text(version), " must hold an address"));
}

}  // namespace cni
