// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "portmap_host.h"

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/conntrack.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "nftables.h"

namespace cni::portmap {
namespace {

namespace conntrack = netlink::conntrack;
using Protocol = PortMapping::Protocol;

const IpAddress& loopback_v6() {
  static const IpAddress address = IpAddress::parse("::1");
  return address;
}

std::string localnet_entry(const Target& target) {
  return sysctl::link_entry("ipv4", target.via, "route_localnet");
}

/// Masquerading is what lets the container answer at all.
bool needs_loopback(const Ports& ports, const Target& target) {
  return ports.snat != Snat::kNone && !target.via.empty() &&
         std::ranges::any_of(target.mappings,
                             [](const PortMapping& m) { return m.includes_loopback(); });
}

void open_loopback_v6(Host& host, const Target& target) {
  const auto link = netlink::find_link(host.route(), target.via);
  if (!link) return;
  netlink::Message route = netlink::new_local_route(loopback_v6(), link->ifindex, link->name);
  route.tolerate(EEXIST);
  host.route().transact(route);
}

const PortMapping* find_mapping(const Target& target, const conntrack::Flow& flow) {
  for (const PortMapping& mapping : target.mappings) {
    if (mapping.protocol != Protocol::kUdp || mapping.host_port != flow.destination_port) continue;
    if (!mapping.bound_to() || mapping.bound_to() == flow.destination) return &mapping;
  }
  return nullptr;
}

}  // namespace

void find_links(Host& host, std::vector<Target>& targets) {
  for (Target& target : targets) {
    const auto way = netlink::find_way(host.route(), target.container);
    if (!way || way->local) continue;
    const auto link = netlink::find_link(host.route(), way->ifindex);
    if (link) target.via = link->name;
  }
}

bool needs_loopback(const Ports& ports) {
  return std::ranges::any_of(ports.targets,
                             [&](const Target& target) { return needs_loopback(ports, target); });
}

void open_loopback(Host& host, const Ports& ports) {
  for (const Target& target : ports.targets) {
    if (!needs_loopback(ports, target)) continue;
    if (target.container.is_v4()) {
      sysctl::write(localnet_entry(target), "1");
    } else {
      open_loopback_v6(host, target);
    }
  }
}

void check_loopback(Host& host, const Ports& ports) {
  for (const Target& target : ports.targets) {
    if (!needs_loopback(ports, target)) continue;
    if (target.container.is_v4()) {
      const auto value = sysctl::read(localnet_entry(target));
      if (!value || *value == "1") continue;
      throw Error(ErrorCode::kMismatch,
                  concat("sysctl ", localnet_entry(target), " is ", *value, " instead of 1"));
    }
    const auto link = netlink::find_link(host.route(), target.via);
    if (!link) continue;
    const auto way =
        netlink::find_way(host.route(), loopback_v6(), target.container, link->ifindex);
    if (way && way->local) continue;
    throw Error(ErrorCode::kMismatch,
                concat("the local route to ::1 on link ", quote(link->name), " is missing"));
  }
}

void forget_stale_flows(Host& host, const Owner& owner, const Ports& ports) {
  for (const Target& target : ports.targets) {
    const auto is_udp = [](const PortMapping& m) { return m.protocol == Protocol::kUdp; };
    const auto udp = std::ranges::count_if(target.mappings, is_udp);
    if (udp == 0) continue;
    conntrack::Filter filter{.family = target.container.family(),
                             .protocol = static_cast<std::uint8_t>(Protocol::kUdp),
                             .destination_port = {},
                             .answers_from = {}};
    if (udp == 1)
      filter.destination_port = std::ranges::find_if(target.mappings, is_udp)->host_port;
    std::map<IpAddress, bool> local;
    const auto is_local = [&](const IpAddress& address) {
      const auto [at, is_new] = local.try_emplace(address);
      if (is_new) {
        const auto way = netlink::find_way(host.route(), address);
        at->second = way && way->local;
      }
      return at->second;
    };
    conntrack::forget(host.nft(), filter, [&](const conntrack::Flow& flow) {
      const PortMapping* const mapping = find_mapping(target, flow);
      if (mapping == nullptr || !is_local(flow.destination)) return false;
      if (flow.answers_from == target.container &&
          flow.answers_from_port == mapping->container_port) {
        return false;
      }
      return mapping->bound_to().has_value() || !host.has_nft() ||
             !nftables::is_bound_by_another(host.nft(), owner, flow.destination, *mapping);
    });
  }
}

void forget_redirected(Host& host, const std::vector<IpAddress>& containers) {
  for (const IpAddress& address : containers) {
    conntrack::forget_redirected_to(host.nft(), address);
  }
}

}  // namespace cni::portmap
