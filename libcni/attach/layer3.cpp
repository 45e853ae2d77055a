// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/layer3.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"

namespace cni {
namespace {

constexpr std::int64_t kMaxMtu = 65535;

}  // namespace

unsigned parse_mtu(const JsonRef& json) {
  // Values below 1 mean the default, as in the reference.
  const std::int64_t mtu = json.int_or(0, INT32_MIN, kMaxMtu);
  return mtu > 0 ? static_cast<unsigned>(mtu) : 0;
}

std::optional<Mac> parse_mac(const Request& request, const JsonRef& key) {
  const JsonRef runtime = request.conf.runtime_config()["mac"];
  const JsonRef cni = request.conf.args_cni()["mac"];
  const std::pair<std::string, std::string> sources[] = {
      {runtime.string_or(""), runtime.path()},
      {cni.string_or(""), cni.path()},
      {CniArgs::parse_leniently(request.args).get("MAC"), "CNI_ARGS: MAC"},
      {key.string_or(""), key.path()}};
  for (const auto& [text, where] : sources) {
    if (!text.empty()) return Mac::parse_unicast(text, where);
  }
  return std::nullopt;
}

std::optional<Dns> parse_dns(const JsonRef& json) {
  const bool given = json["nameservers"].present() || json["search"].present() ||
                     json["options"].present() || !json["domain"].string_or("").empty();
  if (!given) return std::nullopt;
  return Dns::parse(json);
}

std::vector<IpNet> addresses_of(const Result& result) {
  std::vector<IpNet> out;
  for (const IpConfig& ip : result.ips) out.push_back(ip.address);
  return out;
}

Result only_interface(Result result, std::string_view ifname) {
  const auto size = static_cast<std::int64_t>(result.interfaces.size());
  std::erase_if(result.ips, [&](const IpConfig& ip) {
    if (!ip.interface) return false;
    if (*ip.interface < 0 || *ip.interface >= size) return true;
    return result.interfaces[static_cast<std::size_t>(*ip.interface)].name != ifname;
  });
  return result;
}

void require_possible_address(const IpConfig& ip) {
  const auto refuse = [&](std::string_view why) {
    throw Error(ErrorCode::kDelegate,
                concat("IPAM plugin returned address ", ip.address.text(), why));
  };
  const IpAddress& address = ip.address.address;
  if (address.is_loopback()) refuse(", which is a loopback address");
  if (address.is_multicast()) refuse(", which is a multicast address");
  if (address.is_unspecified()) refuse(", which is none");
  if (!ip.gateway) return;
  const std::string gateway = ip.gateway->text();
  if (ip.gateway->family() != address.family()) {
    refuse(concat(" with a gateway of the other family, ", gateway));
  }
  if (ip.gateway->is_multicast() || ip.gateway->is_loopback()) {
    refuse(concat(" with gateway ", gateway, ", which no host can have"));
  }
  const bool has_network = ip.address.prefix < address.bits() - 1;
  if (has_network && *ip.gateway == address.network(ip.address.prefix)) {
    refuse(concat(" with gateway ", gateway, ", which is the network's own address"));
  }
}

Interface describe(const netlink::Link& link, std::string_view sandbox) {
  Interface out;
  out.name = link.name;
  out.mac = link.mac.text();
  out.mtu = link.mtu;
  out.sandbox = sandbox;
  return out;
}

}  // namespace cni
