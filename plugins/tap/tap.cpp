// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// tap: a device in the container that a program there, a virtual machine, reads and writes frames
// of; or a macvtap: the same on a link of the host.
//
// On the host:     a record of the attachment
// In the sandbox:  <CNI_IFNAME> labelled with the owner, with the addresses and routes of IPAM
// Options and examples: docs/plugins/tap.md
#include <linux/if_link.h>

#include <limits>

#include "attach/link_plugin.h"
#include "base/concat.h"
#include "base/error.h"
#include "netlink/device.h"
#include "netlink/tun.h"
#include "netns/netns.h"
#include "plugins.h"

namespace cni::tap {
namespace {

using netlink::Link;
using netlink::Macvlan;
using netlink::Tap;

constexpr const char* kTun = "tun";
constexpr const char* kMacvtap = "macvtap";

std::optional<std::uint32_t> parse_id(const JsonRef& json) {
  const auto id = json.integer(0, std::numeric_limits<std::uint32_t>::max() - 1);
  return id ? std::optional(static_cast<std::uint32_t>(*id)) : std::nullopt;
}

Tap parse_tap(const JsonRef& root) {
  if (!root["selinuxContext"].string_or("").empty()) {
    root["selinuxContext"].fail("cannot be set: no program is started that could have it");
  }
  return {.owner = parse_id(root["owner"]),
          .group = parse_id(root["group"]),
          .multi_queue = root["multiQueue"].bool_or(false),
          .vnet_header = root["vnetHdr"].bool_or(false),
          .packet_info = root["packetInfo"].bool_or(false)};
}

[[noreturn]] void differs(const Link& link, std::string_view what, const std::string& now,
                          const std::string& wanted) {
  throw Error(ErrorCode::kMismatch, concat("interface ", quote(link.name), " has ", what, " ", now,
                                           " instead of ", wanted));
}

std::string text_of(const std::optional<std::uint32_t>& id) {
  return id ? std::to_string(*id) : std::string("none");
}

/// What a program that opens the device sets anew is not compared: header and packet information.
void check_tap(const Link& link, const Tap& now, const Tap& wanted) {
  const auto on = [](bool flag) { return std::string(flag ? "on" : "off"); };
  if (now.owner != wanted.owner) {
    differs(link, "owner", text_of(now.owner), text_of(wanted.owner));
  }
  if (now.group != wanted.group) {
    differs(link, "group", text_of(now.group), text_of(wanted.group));
  }
  if (now.multi_queue != wanted.multi_queue) {
    differs(link, "multiQueue", on(now.multi_queue), on(wanted.multi_queue));
  }
}

/// In the container.
Link get_bridge(netlink::Socket& socket, const std::string& name, ErrorCode code) {
  auto bridge = netlink::find_link(socket, name);
  if (bridge && bridge->kind == "bridge") return *std::move(bridge);
  throw Error(code, concat("bridge: the container has no bridge ", quote(name)));
}

void put_into_bridge(link_plugin::Spec& spec, const std::string& bridge) {
  if (bridge.empty()) return;
  spec.finish = [bridge](netlink::Socket& socket, const Link& link) {
    const Link master = get_bridge(socket, bridge, ErrorCode::kInvalidConfig);
    netlink::Message change = netlink::set_master(link, master.ifindex);
    socket.transact(change);
  };
  spec.check_inside = [bridge](netlink::Socket& socket, const Link& link) {
    const Link master = get_bridge(socket, bridge, ErrorCode::kMismatch);
    if (link.master == master.ifindex) return;
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(link.name), " is no port of bridge ", quote(bridge)));
  };
}

link_plugin::Spec macvtap(const Request& request, link_plugin::Keys keys) {
  const JsonRef mode = request.conf.root()["mode"];
  if (const std::string name = mode.string_or("bridge"); name != "bridge") {
    mode.fail(concat("unknown mode: ", quote(name)));
  }
  const Macvlan wanted{.mode = MACVLAN_MODE_BRIDGE};
  return {.kind = kMacvtap,
          .keys = std::move(keys),
          .lower = link_plugin::Lower::kDefaultRoute,
          .fill = [wanted](netlink::Message& data) { netlink::fill(data, wanted); }};
}

link_plugin::Spec parse(const Request& request) {
  const JsonRef root = request.conf.root();
  link_plugin::Keys keys = link_plugin::parse_keys(request, {.mac = true});
  const Tap tap = parse_tap(root);
  link_plugin::Spec spec;
  const std::string kind = root["kind"].string_or("tap");
  if (kind == kMacvtap) {
    spec = macvtap(request, std::move(keys));
  } else if (kind == "tap") {
    spec.kind = kTun;
    spec.keys = std::move(keys);
    spec.create = [tap](const std::string& name) { netlink::create_tap(name, tap); };
    spec.check = [tap](const Link& link, const netlink::Attributes& data) {
      Tap now;
      netlink::read(data, now);
      check_tap(link, now, tap);
    };
  } else {
    root["kind"].fail(concat("unknown kind: ", quote(kind), "; there are tap and macvtap"));
  }
  put_into_bridge(spec, root["bridge"].string_or(""));
  return spec;
}

void status(const Request& request) {
  const link_plugin::Spec spec = parse(request);
  if (spec.create) {
    require_possible("taps (/dev/net/tun, module tun)",
                     [] { NetNs::create().run([] { netlink::create_tap("probe", {}); }); });
  }
  link_plugin::status(request, spec);
}

}  // namespace

const Plugin plugin{
    .name = "tap",
    .add = [](const Request& request) { return link_plugin::add(request, parse(request)); },
    .check = [](const Request& request) { link_plugin::check(request, parse(request)); },
    .del =
        [](const Request& request) {
          link_plugin::del(request, "tap", {kTun, kMacvtap});
        },
    .gc =
        [](const Request& request, const OwnerSet& valid) {
          link_plugin::gc(request, valid, "tap", {kTun, kMacvtap});
        },
    .status = status,
    .has_rules = [](const Request&) { return true; },
    .restore = [](const Request& request) { link_plugin::restore(request, parse(request)); }};

}  // namespace cni::tap
