// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "portmap_host.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

#include "base/atomic_file.h"
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

constexpr std::string_view kOpenLinks = "/run/cnipp/route_localnet";

std::string localnet_entry(std::string_view link) {
  return sysctl::link_entry("ipv4", link, "route_localnet");
}

std::string note_of(std::string_view link) { return concat(kOpenLinks, "/", link); }

/// A link of one of these kinds leads to containers and nowhere else, or is a bridge, which others
/// may be on: they are kept out by our rules as long as it is open.
bool is_own(const netlink::Link& link, const netlink::Way& way) {
  constexpr std::string_view kKinds[] = {"veth", "bridge", "netkit", "openvswitch"};
  return way.direct && std::ranges::find(kKinds, link.kind) != std::end(kKinds);
}

void open_v4(const std::string& link, bool was_closed) {
  // First: an open link of which nobody knows would never be closed.
  if (was_closed) write_file_unnamed(note_of(link), "", 0600, 0700);
  sysctl::write(localnet_entry(link), "1");
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

void find_links(Host& host, Ports& ports) {
  for (Target& target : ports.targets) {
    const auto way = netlink::find_way(host.route(), target.container);
    if (!way || way->local) continue;
    const auto link = netlink::find_link(host.route(), way->ifindex);
    if (!link) continue;
    target.via = link->name;
    target.own_link = is_own(*link, *way);
    if (target.own_link && target.container.is_v4() && needs_loopback(ports, target)) {
      ports.opens = link->name;
    }
  }
}

bool has_own_links(const Ports& ports) {
  return std::ranges::all_of(ports.targets, [&](const Target& target) {
    return target.own_link || !needs_loopback(ports, target);
  });
}

void require_own_links(const Ports& ports) {
  for (const Target& target : ports.targets) {
    if (target.own_link || !needs_loopback(ports, target)) continue;
    throw Error(ErrorCode::kInvalidConfig,
                concat("prevResult.ips: the way to ", target.container.text(), " is link ",
                       quote(target.via), ", which leads elsewhere, too"),
                "it cannot be opened to the host's loopback addresses; a container has a veth or a "
                "bridge (or \"snat\": false, or a hostIP for each port)");
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
      open_v4(target.via, sysctl::read(localnet_entry(target.via)) == "0");
    } else {
      open_loopback_v6(host, target);
    }
  }
}

void close_loopback(Host& host, const std::vector<std::string>& links) {
  for (const std::string& link : links) {
    if (!nftables::release(host.nft(), link)) continue;
    if (::access(note_of(link).c_str(), F_OK) != 0) continue;
    sysctl::write(localnet_entry(link), "0");
    ::unlink(note_of(link).c_str());
    // Somebody may have come meanwhile who found it open.
    if (nftables::needs_open(host.nft(), link)) open_v4(link, true);
  }
}

std::vector<std::string> list_open_links() {
  std::vector<std::string> out;
  std::error_code none;  // no such directory: no such links
  for (const auto& entry : std::filesystem::directory_iterator(kOpenLinks, none)) {
    out.push_back(entry.path().filename());
  }
  return out;
}

void check_loopback(Host& host, const Ports& ports) {
  for (const Target& target : ports.targets) {
    if (!needs_loopback(ports, target)) continue;
    if (target.container.is_v4()) {
      const auto value = sysctl::read(localnet_entry(target.via));
      if (!value || *value == "1") continue;
      throw Error(ErrorCode::kMismatch,
                  concat("sysctl ", localnet_entry(target.via), " is ", *value, " instead of 1"));
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
  for (const Family family : {Family::kV4, Family::kV6}) {
    std::set<IpAddress> gone;
    for (const IpAddress& address : containers) {
      if (address.family() == family) gone.insert(address);
    }
    if (gone.empty()) continue;
    if (gone.size() == 1) {
      conntrack::forget_redirected_to(host.nft(), *gone.begin());
      continue;
    }
    // The table is read once for all of them.
    const conntrack::Filter filter{
        .family = family, .protocol = {}, .destination_port = {}, .answers_from = {}};
    conntrack::forget(host.nft(), filter, [&](const conntrack::Flow& flow) {
      return flow.is_redirected() && gone.contains(flow.answers_from);
    });
  }
}

}  // namespace cni::portmap
