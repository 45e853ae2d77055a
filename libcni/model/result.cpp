// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/result.h"

#include <limits>

#include "base/concat.h"

namespace cni {
namespace {

constexpr std::int64_t kMaxU32 = std::numeric_limits<std::uint32_t>::max();

unsigned u32_or_zero(const JsonRef& json) {
  return static_cast<unsigned>(json.int_or(0, 0, kMaxU32));
}

std::optional<unsigned> optional_u32(const JsonRef& json) {
  const auto value = json.integer(0, kMaxU32);
  return value ? std::optional<unsigned>(static_cast<unsigned>(*value)) : std::nullopt;
}

}  // namespace

Route Route::parse(const JsonRef& json) {
  Route out;
  const JsonRef dst = json["dst"];
  const auto net = IpNet::try_parse(dst.string());
  if (!net) dst.fail(concat("not a CIDR: ", quote(dst.string())));
  out.dst = *net;
  if (const JsonRef gw = json["gw"]; !gw.string_or("").empty()) {
    out.gw = IpAddress::try_parse(gw.string());
    if (!out.gw) gw.fail(concat("not an IP address: ", quote(gw.string())));
  }
  out.mtu = u32_or_zero(json["mtu"]);
  out.advmss = u32_or_zero(json["advmss"]);
  out.priority = u32_or_zero(json["priority"]);
  out.table = optional_u32(json["table"]);
  out.scope = optional_u32(json["scope"]);
  if (out.scope && *out.scope > 255) json["scope"].fail("must be between 0 and 255");
  return out;
}

void drop_unspecified_gateways(Result& result) {
  constexpr unsigned kScopeLink = 253;
  for (IpConfig& ip : result.ips) {
    if (ip.gateway && ip.gateway->is_unspecified()) ip.gateway.reset();
  }
  for (Route& route : result.routes) {
    if (!route.gw || !route.gw->is_unspecified()) continue;
    route.gw.reset();
    if (!route.scope) route.scope = kScopeLink;
  }
}

Json Route::to_json() const {
  Json out = Json::object();
  out.set("dst", dst.text());
  if (gw) out.set("gw", gw->text());
  if (mtu != 0) out.set("mtu", mtu);
  if (advmss != 0) out.set("advmss", advmss);
  if (priority != 0) out.set("priority", priority);
  if (table) out.set("table", *table);
  if (scope) out.set("scope", *scope);
  return out;
}

Dns Dns::parse(const JsonRef& json) {
  return {json["nameservers"].strings(), json["domain"].string_or(""), json["search"].strings(),
          json["options"].strings()};
}

Json Dns::to_json() const {
  Json out = Json::object();
  if (!nameservers.empty()) out.set("nameservers", nameservers);
  if (!domain.empty()) out.set("domain", domain);
  if (!search.empty()) out.set("search", search);
  if (!options.empty()) out.set("options", options);
  return out;
}

const Interface* Result::find_interface(std::string_view name,
                                        std::string_view sandbox) const noexcept {
  for (const Interface& interface : interfaces) {
    if (interface.name == name && interface.sandbox == sandbox) return &interface;
  }
  return nullptr;
}

}  // namespace cni
