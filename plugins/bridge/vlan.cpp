// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "vlan.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "bridge_link.h"
#include "host/sysctl.h"
#include "model/owner.h"
#include "netlink/bridge_vlan.h"
#include "netlink/kinds.h"

namespace cni::bridge {
namespace {

using netlink::Link;
using netlink::Message;
using netlink::PortVlan;

constexpr std::size_t kMaxInterfaceName = 15;
constexpr std::uint16_t kDefaultVlan = 1;

std::vector<PortVlan> wanted_vlans(const Config& conf) {
  std::vector<PortVlan> out;
  // A trunk without a VLAN of its own keeps the untagged traffic in the default VLAN.
  const std::uint16_t own = conf.vlan != 0 ? conf.vlan : kDefaultVlan;
  out.push_back({own, true, true});
  for (const std::uint16_t id : conf.vlan_trunk) {
    if (id != own) out.push_back({id});
  }
  std::ranges::sort(out);
  return out;
}

void set_vlans(Host& host, const Link& port, const std::vector<PortVlan>& vlans, bool keep) {
  Message clear = netlink::clear_port_vlans(port.ifindex, port.name);
  Message add = netlink::add_port_vlans(port.ifindex, port.name, vlans);
  if (keep) {
    host.route().transact(add);
    return;
  }
  Message* const both[] = {&clear, &add};
  host.route().transact(both);
}

/// Until finish_gateway both ends carry the mark of the unfinished.
void create_gateway(Host& host, const Link& bridge, const std::string& name,
                    const std::string& port_name) {
  Message creation = netlink::new_veth(
      {.name = port_name,
       .mac = Mac::random_of_port(),
       .mtu = bridge.mtu,
       .group = netlink::kUnfinishedGroup,
       .master = bridge.ifindex},
      {.name = name, .mac = Mac::random(), .mtu = bridge.mtu, .group = netlink::kUnfinishedGroup});
  creation.tolerate(EEXIST);  // another ADD was quicker
  host.route().transact(creation);
}

/// Also of a pair that a killed ADD left: idempotent.
void finish_gateway(Host& host, const Config& conf, const std::string& name,
                    const std::string& port_name) {
  const Link port = netlink::get_link(host.route(), port_name);
  set_vlans(host, port, {{conf.vlan, true, true}}, false);
  sysctl::write(sysctl::link_entry("ipv6", name, "accept_ra"), "0");
  // Nobody could reach it meanwhile.
  sysctl::write(sysctl::link_entry("ipv6", name, "accept_dad"), "0");
  sysctl::write(sysctl::link_entry("ipv6", port_name, "accept_ra"), "0");
  const std::string alias(kVlanGatewayAlias);
  const netlink::LinkChange change{.up = true, .alias = alias, .group = 0};
  Message port_up = netlink::change_link(port.ifindex, port_name, change);
  // Last: while this end has the mark, there may be work to do.
  Message end_up = netlink::change_link(0, name, change);
  Message* const both[] = {&port_up, &end_up};
  host.route().transact(both);
}

}  // namespace

void set_port_vlans(Host& host, const Config& conf, const Link& port) {
  if (conf.vlan == 0 && conf.vlan_trunk.empty()) return;
  const log::Step timed("set the port's VLANs");
  set_vlans(host, port, wanted_vlans(conf), conf.preserve_default_vlan);
}

void check_port_vlans(Host& host, const Config& conf, const Link& port) {
  if (conf.vlan == 0 && conf.vlan_trunk.empty()) return;
  const std::vector<PortVlan> present = netlink::list_port_vlans(host.route(), port.ifindex);
  const std::vector<PortVlan> wanted = wanted_vlans(conf);
  for (const PortVlan& vlan : wanted) {
    if (std::ranges::find(present, vlan) != present.end()) continue;
    throw Error(ErrorCode::kMismatch, concat("link ", quote(port.name), " is not in VLAN ", vlan.id,
                                             vlan.pvid ? " (pvid, untagged)" : " (tagged)"));
  }
  if (conf.preserve_default_vlan) return;
  for (const PortVlan& vlan : present) {
    if (std::ranges::find(wanted, vlan) != wanted.end()) continue;
    throw Error(ErrorCode::kMismatch,
                concat("link ", quote(port.name), " is in VLAN ", vlan.id, " too"));
  }
}

void probe_vlan_filtering() {
  const NetNs scratch = NetNs::create();
  netlink::Socket socket = netlink::Socket::open_in(scratch, netlink::Socket::Protocol::kRoute);
  Message creation = netlink::new_bridge({.name = "probe"}, true);
  socket.transact(creation);
}

std::string vlan_gateway_name(const Config& conf) {
  std::string name = concat(conf.bridge, ".", conf.vlan);
  if (name.size() <= kMaxInterfaceName) return name;
  return concat("vlan", sha512_hex(conf.bridge, 6), ".", conf.vlan);
}

void require_veth(const Link& gateway, ErrorCode code) {
  if (gateway.kind == "veth") return;
  throw Error(code,
              concat("failed to set vlan interface for bridge: ", quote(gateway.name),
                     " already exists but is not a veth"),
              concat("it is of kind ", quote(gateway.kind)));
}

Link ensure_vlan_gateway(Host& host, const Config& conf, const Link& bridge, int own_port,
                         Rollback& rollback) {
  const log::Step timed("ensure the VLAN gateway");
  const std::string name = vlan_gateway_name(conf);
  auto found = netlink::find_link(host.route(), name);
  if (!found || found->group == netlink::kUnfinishedGroup) {
    const std::string port_name = "veth" + sha512_hex(concat("VLAN gateway ", name), 11);
    rollback.on_failure("remove the VLAN gateway", [&host, bridge, own_port, port_name] {
      const auto port = netlink::find_link(host.route(), port_name);
      if (!port || count_ports(host, bridge, own_port) > 0) return;
      netlink::delete_link_if_exists(host.route(), port->ifindex, port_name);
    });
    if (!found) create_gateway(host, bridge, name, port_name);
    finish_gateway(host, conf, name, port_name);
    found = netlink::get_link(host.route(), name);
  }
  require_veth(*found, ErrorCode::kConflict);
  if (!found->is_up()) {
    Message up = netlink::change_link(found->ifindex, name, {.up = true});
    host.route().transact(up);
  }
  return *found;
}

}  // namespace cni::bridge
