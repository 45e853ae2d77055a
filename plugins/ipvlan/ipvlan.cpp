// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// ipvlan: a link that shares the MAC of a link of the host, or of the container.
//
// On the host:     a record of the attachment
// In the sandbox:  <CNI_IFNAME> labelled with the owner, with the addresses and routes of IPAM, or
//                  of the plugins before it in the list
// Options and examples: docs/plugins/ipvlan.md

#include <linux/if_link.h>

#include <array>
#include <utility>

#include "attach/link_plugin.h"
#include "base/concat.h"
#include "base/error.h"
#include "plugins.h"

namespace cni::ipvlan {
namespace {

using netlink::Ipvlan;
using Names = std::array<std::pair<std::string_view, std::uint16_t>, 3>;

constexpr char kName[] = "ipvlan";

constexpr Names kModes{{{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}}};
/// What containers on one master may send each other.
constexpr Names kFlags{{{"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}}};

std::uint16_t parse(const JsonRef& json, const Names& names) {
  const std::string text = json.string_or("");
  if (text.empty()) return names.front().second;
  for (const auto& [name, value] : names) {
    if (name == text) return value;
  }
  json.fail(concat("unknown: ", quote(text), "; known are ", names[0].first, ", ", names[1].first,
                   " and ", names[2].first));
}

void compare(const netlink::Link& link, std::string_view what, const Names& names,
             std::uint16_t now, std::uint16_t wanted) {
  if (now == wanted) return;
  const auto text = [&](std::uint16_t value) {
    for (const auto& [name, known] : names) {
      if (known == value) return std::string(name);
    }
    return concat("number ", value);
  };
  throw Error(ErrorCode::kMismatch, concat("interface ", quote(link.name), " has ipvlan ", what,
                                           " ", text(now), " instead of ", text(wanted)));
}

/// Without `master`, chained: the interface of the plugins before. Their result and ours are one in
/// every verb but ADD.
void take_previous_interface(const Request& request, const Result& previous,
                             link_plugin::Keys& keys) {
  if (!keys.lowers.empty()) return;
  for (const Interface& interface : previous.interfaces) {
    if (interface.name == request.ifname && interface.sandbox == request.netns) continue;
    if (interface.name.empty()) continue;
    if (!keys.lowers.empty()) {
      throw Error(ErrorCode::kInvalidConfig,
                  "master: not given, and prevResult has more than one interface to stand on");
    }
    keys.lowers.push_back({.text = interface.name, .mac = {}, .subnet = {}});
  }
}

/// Says what the kernel's EBUSY means.
void require_room(netlink::Socket& socket, const netlink::Link& lower) {
  for (const netlink::Link& link : netlink::list_links(socket)) {
    if ((link.kind == "macvlan" || link.kind == "macvtap") && !link.peer_elsewhere &&
        link.peer == lower.ifindex) {
      throw Error(ErrorCode::kConflict,
                  concat("master: link ", quote(lower.name), " carries the ", link.kind, " ",
                         quote(link.name), ", and the kernel allows one of both kinds"));
    }
  }
}

link_plugin::Spec parse_spec(const Request& request) {
  const JsonRef root = request.conf.root();
  const Ipvlan wanted{.mode = parse(root["mode"], kModes), .flags = parse(root["flag"], kFlags)};
  link_plugin::Spec spec{.kind = kName,
                         .keys = link_plugin::parse_keys(request, {}),
                         .lower = link_plugin::Lower::kDefaultRoute,
                         .fill = [wanted](netlink::Message& data) { netlink::fill(data, wanted); },
                         .require_room = require_room};
  if (const auto previous = request.conf.prev_result()) {
    take_previous_interface(request, *previous, spec.keys);
    if (!previous->ips.empty()) spec.addresses = link_plugin::Addresses::kPrevResult;
  }
  spec.check = [wanted](const netlink::Link& link, const netlink::Attributes& data) {
    Ipvlan now;
    netlink::read(data, now);
    compare(link, "mode", kModes, now.mode, wanted.mode);
    compare(link, "flag", kFlags, now.flags, wanted.flags);
  };
  return spec;
}

}  // namespace

const Plugin plugin = link_plugin::kPlugin<parse_spec, kName>;

}  // namespace cni::ipvlan
