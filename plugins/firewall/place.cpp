// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "place.h"

#include <set>

#include "base/concat.h"
#include "base/error.h"
#include "model/config.h"
#include "model/owner.h"
#include "netlink/link.h"

namespace cni::firewall {

std::vector<std::string> host_interfaces(const Result& result) {
  std::vector<std::string> out;
  for (const Interface& interface : result.interfaces) {
    if (!interface.sandbox.empty()) continue;
    if (interface_name_problem(interface.name)) {
      throw Error(ErrorCode::kInvalidConfig,
                  concat("prevResult.interfaces: not an interface name: ", quote(interface.name)));
    }
    out.push_back(interface.name);
  }
  return out;
}

isolation::Place place_of(Host& host, const Result& result) {
  isolation::Place out;
  for (const std::string& name : host_interfaces(result)) {
    const auto link = netlink::find_link(host.route(), name);
    if (link && link->master != 0) {
      out.ports.push_back(name);
    } else if (out.link.empty() || (link && link->alias == kVlanGatewayAlias)) {
      out.link = name;
      if (link && link->peer != 0 && !link->peer_elsewhere) {
        const auto peer = netlink::find_link(host.route(), link->peer);
        out.gateway_port = peer && peer->master != 0 ? peer->name : "";
      }
    }
  }
  return out;
}

std::vector<IpAddress> addresses_of(const Result& result) {
  std::vector<IpAddress> out;
  std::set<IpAddress> seen;
  for (const IpConfig& ip : result.ips) {
    if (seen.insert(ip.address.address).second) out.push_back(ip.address.address);
  }
  return out;
}

}  // namespace cni::firewall
