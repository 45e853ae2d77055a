// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "bridge_check.h"

#include <linux/if.h>

#include <algorithm>
#include <optional>

#include "attach/configure_interface.h"
#include "attach/layer3.h"
#include "attach/veth.h"
#include "base/concat.h"
#include "base/error.h"
#include "bridge_config.h"
#include "host/forwarding.h"
#include "host/host.h"
#include "layer3.h"
#include "masquerade/masquerade.h"
#include "netlink/link.h"
#include "protocol/delegate.h"
#include "reference_spoof_check.h"
#include "spoof_check.h"
#include "vlan.h"

namespace cni::bridge {
namespace {

using netlink::Link;

[[noreturn]] void differs(const std::string& what) { throw Error(ErrorCode::kMismatch, what); }

Link check_bridge(Host& host, const Config& conf, const Result& previous) {
  const auto bridge = netlink::find_link(host.route(), conf.bridge);
  if (!bridge) differs(concat("bridge ", quote(conf.bridge), " is missing"));
  if (bridge->kind != "bridge") differs(concat(quote(conf.bridge), " is not a bridge"));
  if (!bridge->is_up()) differs(concat("bridge ", quote(conf.bridge), " is down"));
  const Interface* const reported = previous.find_interface(conf.bridge, "");
  if (reported == nullptr) {
    differs(concat("prevResult.interfaces: no entry for bridge ", quote(conf.bridge)));
  }
  // Its MTU and MAC are the bridge's own affair: other ports may change the one, only the other
  // concerns the container.
  if (!reported->mac.empty() && Mac::try_parse(reported->mac) != bridge->mac) {
    differs(concat("bridge ", quote(conf.bridge), " has MAC ", bridge->mac.text(), " instead of ",
                   reported->mac));
  }
  if (conf.promisc_mode && (bridge->flags & IFF_PROMISC) == 0) {
    differs(concat("bridge ", quote(conf.bridge), " is not promiscuous"));
  }
  return *bridge;
}

Link check_port(Host& host, const Config& conf, const Link& bridge, const Link& container,
                const Result& previous) {
  const Link port = check_host_veth(host, previous, container);
  if (port.master != bridge.ifindex) {
    differs(concat("link ", quote(port.name), " is not a port of bridge ", quote(bridge.name)));
  }
  if (!port.port || port.port->hairpin != conf.hairpin_mode) {
    differs(concat("link ", quote(port.name), ": hairpin mode is not ",
                   conf.hairpin_mode ? "on" : "off"));
  }
  if (port.port->isolated != conf.port_isolation) {
    differs(concat("link ", quote(port.name), ": port isolation is not ",
                   conf.port_isolation ? "on" : "off"));
  }
  check_port_vlans(host, conf, port);
  return port;
}

void check_gateways(Host& host, const Config& conf, const Link& bridge, const Result& previous) {
  const std::vector<IpNet> gateways = gateways_of(previous);
  const auto target = conf.vlan == 0 ? std::optional(bridge)
                                     : netlink::find_link(host.route(), vlan_gateway_name(conf));
  if (!target) differs(concat("link ", quote(vlan_gateway_name(conf)), " is missing"));
  if (!target->is_up()) differs(concat("link ", quote(target->name), " is down"));
  const auto present = netlink::list_addresses(host.route(), target->ifindex);
  for (const IpNet& gateway : gateways) {
    const bool there = std::ranges::any_of(
        present, [&](const netlink::Address& address) { return address.net == gateway; });
    if (!there) {
      differs(concat("gateway ", gateway.text(), " is not on ", quote(target->name)));
    }
  }
  check_forwarding(gateways);
}

void check_spoof_check(Host& host, const Request& request, const Link& port,
                       const Link& container) {
  const Owner owner = request.owner();
  try {
    nft::spoof_check::check(host.nft(), owner, port.name, container.mac);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kMismatch) throw;
    // Made before an upgrade?
    const bool theirs = nft::reference_spoof_check::holds(host.nft(), request.attachment(),
                                                          port.name, container.mac);
    if (!theirs) throw;
  }
}

}  // namespace

void check(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const auto previous = request.conf.prev_result();
  if (!previous) throw Error(ErrorCode::kInvalidConfig, "required prevResult missing");

  const Link bridge = check_bridge(host, conf, *previous);
  const Link container = check_container_veth(sandbox, request, *previous);
  const Link port = check_port(host, conf, bridge, container, *previous);
  if (conf.mac_spoof_check) check_spoof_check(host, request, port, container);
  if (!conf.disable_container_interface && !container.is_up()) {
    differs(concat("interface ", quote(container.name), " in the container is down"));
  }
  if (!conf.has_ipam) return;
  const Result ours = only_interface(*previous, request.ifname);
  check_interface(sandbox, container, ours);
  if (conf.is_gateway) check_gateways(host, conf, bridge, ours);
  if (conf.ip_masq.any()) {
    masquerade::check(host, request, conf.ip_masq, addresses_of(ours));
  }
  ipam::check(request);
}

}  // namespace cni::bridge
