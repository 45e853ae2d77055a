// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "bridge_link.h"

#include <linux/if.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <optional>

#include "base/concat.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "model/owner.h"
#include "netlink/address.h"
#include "netlink/kinds.h"
#include "vlan.h"

namespace cni::bridge {
namespace {

using netlink::Address;
using netlink::Link;
using netlink::Message;

constexpr std::string_view kOurAlias = "cnipp: created by the bridge plugin";
constexpr int kCreateTries = 10;

void require_bridge(const Link& link) {
  if (link.kind == "bridge") return;
  throw Error(ErrorCode::kConflict, concat(quote(link.name), " already exists but is not a bridge"),
              concat("it is of kind ", quote(link.kind)));
}

/// Made by an ADD that has not labelled it yet, or was killed before it could.
bool is_unfinished(const Link& link) { return link.group == netlink::kUnfinishedGroup; }

bool is_gateway_port(const Link& port) {
  return port.alias == kVlanGatewayAlias || is_unfinished(port);
}

/// Undoes a creation, also one whose answer never arrived, unless a port has joined.
void undo_creation(Host& host, const std::string& name, bool created) {
  const auto lock = lock_bridges(FileLock::Kind::kExclusive);
  const auto bridge = netlink::find_link(host.route(), name);
  if (!bridge || bridge->kind != "bridge") return;
  if (!created && !is_unfinished(*bridge)) return;
  if (count_ports(host, *bridge, 0) > 0) return;
  netlink::delete_link_if_exists(host.route(), bridge->ifindex, name);
}

struct Found {
  Link bridge;
  bool created = false;
};

Found create_or_find(Host& host, const Config& conf, Rollback& rollback) {
  const auto created = std::make_shared<bool>(false);
  for (int tries = 0; tries < kCreateTries; ++tries) {
    if (auto found = netlink::find_link(host.route(), conf.bridge)) {
      return {*std::move(found), *created};
    }
    Message creation = netlink::new_bridge({.name = conf.bridge,
                                            .mac = Mac::random(),
                                            .mtu = conf.mtu,
                                            .group = netlink::kUnfinishedGroup},
                                           conf.vlan_filtering);
    creation.tolerate(EEXIST);  // another ADD was quicker
    rollback.on_failure("remove the bridge", [&host, name = conf.bridge, created] {
      undo_creation(host, name, *created);
    });
    host.route().transact(creation);
    *created = creation.error() == 0;
  }
  throw Error(ErrorCode::kTryAgain, concat("bridge ", quote(conf.bridge), " comes and goes"));
}

bool overlaps(const IpNet& a, const IpNet& b) {
  return a.contains(b.address) || b.contains(a.address);
}

/// An address that cannot stand beside the wanted gateways: any other IPv4 address, and an
/// overlapping IPv6 one (link-local addresses are the kernel's).
bool conflicts(const IpNet& present, const std::vector<IpNet>& wanted) {
  if (std::ranges::find(wanted, present) != wanted.end()) return false;
  return std::ranges::any_of(wanted, [&](const IpNet& gateway) {
    if (gateway.family() != present.family()) return false;
    if (present.address.is_v4()) return true;
    return !present.address.is_link_local() && overlaps(gateway, present);
  });
}

/// The link's addresses of the gateways' families: others are in nobody's way.
std::vector<Address> addresses_beside(Host& host, const Link& link,
                                      const std::vector<IpNet>& gateways) {
  std::vector<Address> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto is_of_it = [&](const IpNet& gateway) { return gateway.family() == family; };
    if (std::ranges::none_of(gateways, is_of_it)) continue;
    std::ranges::move(netlink::list_addresses(host.route(), link.ifindex, family),
                      std::back_inserter(out));
  }
  return out;
}

/// Why the address cannot be replaced, nullopt when it can.
std::optional<Error> objection(Host& host, const Config& conf, const GatewayPlace& place,
                               const IpNet& present, const std::vector<IpNet>& wanted,
                               ErrorCode code) {
  if (conf.force_address) return std::nullopt;
  const std::size_t ports = count_ports(host, place.bridge, place.own_port);
  if (ports == 0) return std::nullopt;
  const std::string& name = place.target.name;
  std::string list;
  for (const IpNet& gateway : wanted) list += concat(list.empty() ? "" : ", ", gateway.text());
  return Error(code,
               concat("failed to set bridge addr: ", quote(name),
                      " already has an IP address different from ", list),
               concat("found ", present.text(), ", wanted ", list, ", ", ports,
                      " other port(s) attached; to replace it: ip address del ", present.text(),
                      " dev ", name, " (or set \"forceAddress\": true)"));
}

void remove_conflicting(Host& host, const Config& conf, const GatewayPlace& place,
                        const IpNet& present, const std::vector<IpNet>& wanted,
                        Rollback& rollback) {
  const Link& target = place.target;
  if (const auto error = objection(host, conf, place, present, wanted, ErrorCode::kConflict)) {
    throw *error;
  }
  log::warn(concat("replacing address ", present.text(), " of ", quote(target.name)));
  rollback.on_failure(concat("restore address ", present.text()), [&host, target, present] {
    Message restore =
        netlink::new_address(target.ifindex, target.name, present, netlink::Dad::kSkip);
    restore.tolerate(EEXIST);
    host.route().transact(restore);
  });
  Message removal = netlink::delete_address(target.ifindex, target.name, present);
  removal.tolerate(EADDRNOTAVAIL);  // somebody else removed it
  host.route().transact(removal);
}

void undo_gateway(Host& host, const GatewayPlace& place, const IpNet& gateway) {
  // Another ADD may rely on it by now: it attaches its port before it looks at the addresses.
  if (count_ports(host, place.bridge, place.own_port) > 0) return;
  Message removal = netlink::delete_address(place.target.ifindex, place.target.name, gateway);
  removal.tolerate(EADDRNOTAVAIL).tolerate(ENODEV);
  host.route().transact(removal);
}

/// A bridge of another origin follows the port with the lowest MAC, and has none when its last port
/// goes. The address from before is what its neighbours know, the containers by the gateway.
bool must_pin_mac(Host& host, const Config& conf, const Link& bridge) {
  if (has_pinned_mac(bridge) || is_unfinished(bridge)) return false;
  if (conf.is_gateway) return true;
  // With a carrier it has a port; ours have higher addresses.
  return bridge.operstate != IF_OPER_UP &&
         netlink::list_links(host.route(), bridge.ifindex).empty();
}

/// A bridge that another network uses is not changed behind its back.
void switch_filtering_on(Host& host, const Link& bridge, Rollback& rollback) {
  const std::size_t ports = count_ports(host, bridge, 0);
  if (bridge.alias != kOurAlias && ports > 0) {
    throw Error(ErrorCode::kConflict,
                concat("bridge ", quote(bridge.name), " exists without VLAN filtering"),
                concat(ports, " port(s) attached; to switch it on: ip link set ", bridge.name,
                       " type bridge vlan_filtering 1"));
  }
  rollback.on_failure("switch VLAN filtering off", [&host, bridge] {
    if (count_ports(host, bridge, 0) > 0) return;
    Message off = netlink::change_link(bridge.ifindex, bridge.name, {.vlan_filtering = false});
    off.tolerate(ENODEV);
    host.route().transact(off);
  });
  Message on = netlink::change_link(bridge.ifindex, bridge.name, {.vlan_filtering = true});
  host.route().transact(on);
}

}  // namespace

std::size_t count_ports(Host& host, const Link& bridge, int own_port) {
  const auto ports = netlink::list_links(host.route(), bridge.ifindex);
  return static_cast<std::size_t>(std::ranges::count_if(
      ports, [&](const Link& port) { return port.ifindex != own_port && !is_gateway_port(port); }));
}

std::optional<FileLock> lock_bridges(FileLock::Kind kind) {
  return FileLock::of_suite_if_possible("bridge", kind);
}

Link ensure_bridge(Host& host, const Config& conf, Rollback& rollback) {
  const log::Step timed("ensure the bridge");
  Found found = create_or_find(host, conf, rollback);
  Link& bridge = found.bridge;
  require_bridge(bridge);
  if (conf.vlan_filtering && !found.created && !bridge.vlan_filtering) {
    switch_filtering_on(host, bridge, rollback);
  }
  netlink::LinkChange change;
  if (must_pin_mac(host, conf, bridge)) {
    if (bridge.mac.is_zero()) bridge.mac = Mac::random();
    change.mac = bridge.mac;
  }
  if (found.created || is_unfinished(bridge)) {
    change.alias = kOurAlias;
    change.group = 0;
  }
  if (!bridge.is_up()) {
    // New, or of another ADD that has not come this far. Before it is up: no advertisement is
    // heard.
    sysctl::write(sysctl::link_entry("ipv6", bridge.name, "accept_ra"), "0");
    // While its own address is being checked nobody could reach the host by it.
    if (change.alias) sysctl::write(sysctl::link_entry("ipv6", bridge.name, "accept_dad"), "0");
    change.up = true;
  } else if (bridge.alias != kOurAlias) {
    sysctl::write(sysctl::link_entry("ipv6", bridge.name, "accept_ra"), "0");
  }
  const bool promiscuous = (bridge.flags & IFF_PROMISC) != 0;
  if (conf.promisc_mode && !promiscuous) change.promiscuous = true;
  if (change.up || change.alias || change.promiscuous || change.mac) {
    Message setup = netlink::change_link(bridge.ifindex, bridge.name, change);
    host.route().transact(setup);
  }
  if (change.alias) bridge.alias = kOurAlias;
  return bridge;
}

void ensure_gateways(Host& host, const Config& conf, const GatewayPlace& place,
                     const std::vector<IpNet>& gateways, Rollback& rollback) {
  const log::Step timed("ensure the gateway addresses");
  const Link& target = place.target;
  const std::vector<Address> present = addresses_beside(host, target, gateways);
  for (const Address& address : present) {
    if (!conflicts(address.net, gateways)) continue;
    remove_conflicting(host, conf, place, address.net, gateways, rollback);
  }
  for (const IpNet& gateway : gateways) {
    const bool there =
        std::ranges::any_of(present, [&](const Address& a) { return a.net == gateway; });
    if (there) continue;
    rollback.on_failure(concat("remove gateway ", gateway.text()),
                        [&host, place, gateway] { undo_gateway(host, place, gateway); });
    // An administrator may have switched IPv6 off for new links.
    if (!gateway.address.is_v4()) {
      sysctl::write(sysctl::link_entry("ipv6", target.name, "disable_ipv6"), "0");
    }
    // Without duplicate address detection: the first packets of the container go to this address.
    Message addition =
        netlink::new_address(target.ifindex, target.name, gateway, netlink::Dad::kSkip);
    addition.tolerate(EEXIST);
    host.route().transact(addition);
  }
}

bool has_pinned_mac(const Link& bridge) { return bridge.alias == kOurAlias; }

void remove_unused_bridge(Host& host, const std::string& name) {
  const auto lock = lock_bridges(FileLock::Kind::kExclusive);
  const auto bridge = netlink::find_link(host.route(), name);
  if (!bridge || bridge->kind != "bridge") return;
  if (bridge->alias != kOurAlias && !is_unfinished(*bridge)) return;
  if (count_ports(host, *bridge, 0) > 0) return;
  for (const Link& port : netlink::list_links(host.route(), bridge->ifindex)) {
    // Somebody else's port may have joined since they were counted.
    if (!is_gateway_port(port)) return;
    netlink::delete_link_if_exists(host.route(), port.ifindex, port.name);
  }
  netlink::delete_link_if_exists(host.route(), bridge->ifindex, name);
}

void require_usable(Host& host, const Config& conf, const std::vector<IpNet>& gateways) {
  const auto link = netlink::find_link(host.route(), conf.bridge);
  if (!link) return;
  if (link->kind != "bridge") {
    throw Error(ErrorCode::kNotAvailable,
                concat("bridge ", quote(conf.bridge), " already exists but is not a bridge"),
                concat("it is of kind ", quote(link->kind)));
  }
  if (!conf.is_gateway) return;
  // The gateways of a VLAN are on a link of its own, which the first ADD makes.
  const auto target =
      conf.vlan == 0 ? link : netlink::find_link(host.route(), vlan_gateway_name(conf));
  if (!target) return;
  if (conf.vlan != 0) require_veth(*target, ErrorCode::kNotAvailable);
  for (const Address& address : netlink::list_addresses(host.route(), target->ifindex)) {
    if (!conflicts(address.net, gateways)) continue;
    const auto error = objection(host, conf, {.bridge = *link, .target = *target}, address.net,
                                 gateways, ErrorCode::kNotAvailable);
    if (error) throw *error;
  }
}

}  // namespace cni::bridge
