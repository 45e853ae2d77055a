// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// vlan: gives the container one VLAN of a link of the host, or of the container.
//
// On the host:     a record of the attachment
// In the sandbox:  <CNI_IFNAME> labelled with the owner, with the addresses and routes of IPAM
// Options and examples: docs/plugins/vlan.md
#include <linux/if_ether.h>

#include <algorithm>
#include <charconv>

#include "attach/link_plugin.h"
#include "base/concat.h"
#include "base/error.h"
#include "plugins.h"
#include "protocol/record.h"

namespace cni::vlan {
namespace {

using netlink::Vlan;

constexpr char kName[] = "vlan";
constexpr int kMaxId = 4094, kMaxPriority = 7;  // IEEE 802.1Q, 9.6

std::uint16_t parse_protocol(const JsonRef& json) {
  const std::string text = json.string_or("802.1Q");
  if (text == "802.1Q") return ETH_P_8021Q;
  if (text == "802.1ad") return ETH_P_8021AD;
  json.fail(concat("must be \"802.1Q\" or \"802.1ad\": ", quote(text)));
}

std::string_view text_of_protocol(std::uint16_t protocol) {
  return protocol == ETH_P_8021AD ? "802.1ad" : "802.1Q";
}

/// {"<from>": <to>}: priorities. What the frame carries is at most 7.
std::vector<Vlan::Map> parse_map(const JsonRef& json, bool from_frame) {
  std::vector<Vlan::Map> out;
  for (const auto& [key, value] : json.members()) {
    std::uint32_t from = 0;
    const auto end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, from);
    if (parsed.ec != std::errc() || parsed.ptr != end || (from_frame && from > kMaxPriority)) {
      json.fail(concat("not a priority: ", quote(key)));
    }
    const auto to = value.int_or(0, 0, from_frame ? INT32_MAX : kMaxPriority);
    if (to != 0) out.push_back({.from = from, .to = static_cast<std::uint32_t>(to)});
  }
  std::ranges::sort(out);
  return out;
}

Vlan parse_vlan(const JsonRef& root) {
  const JsonRef id = root["vlanId"];
  if (!id.present()) id.fail(concat("missing: the VLAN, 0 to ", kMaxId));
  return {.id = static_cast<std::uint16_t>(id.int_or(0, 0, kMaxId)),
          .protocol = parse_protocol(root["protocol"]),
          .egress = parse_map(root["egressQosMap"], false),
          .ingress = parse_map(root["ingressQosMap"], true)};
}

[[noreturn]] void taken(const Vlan& vlan, const netlink::Link& lower, const std::string& holder) {
  throw Error(
      ErrorCode::kConflict,
      concat("vlanId: VLAN ", vlan.id, " of link ", quote(lower.name), " is taken by ", holder),
      "a link has one interface for each VLAN; several containers share it through bridge "
      "with \"vlan\", or through macvlan on a VLAN interface of the host");
}

/// Whether the record's configuration is of this VLAN of this link.
bool is_same(const record::Record& record, const Vlan& vlan, netlink::Socket& socket,
             const netlink::Link& lower) {
  const JsonRef root = record.config.root();
  if (root["linkInContainer"].bool_or(false) || parse_protocol(root["protocol"]) != vlan.protocol ||
      root["vlanId"].int_or(-1, 0, kMaxId) != vlan.id) {
    return false;
  }
  const auto its = lower_link::find(socket, lower_link::parse_choices(root["master"]));
  return its && its->ifindex == lower.ifindex;
}

/// Names who has the VLAN already: another attachment, or a link of the host.
void require_room(netlink::Socket& socket, const netlink::Link& lower, const Vlan& vlan,
                  bool on_host) {
  for (const netlink::Link& link : netlink::list_links(socket, 0, kName)) {
    if (link.peer_elsewhere || link.peer != lower.ifindex) continue;
    netlink::Message look = netlink::get_link_message(link.name);
    socket.transact(look);
    Vlan now;
    netlink::read(netlink::kind_data(look), now);
    if (now.id == vlan.id && now.protocol == vlan.protocol) {
      taken(vlan, lower, concat("interface ", quote(link.name), on_host ? " of the host" : ""));
    }
  }
  if (!on_host) return;
  for (const record::Record& record : record::list()) {
    if (record.plugin != kName || !record.is_live() || !is_same(record, vlan, socket, lower)) {
      continue;
    }
    taken(vlan, lower,
          concat("interface ", quote(record.attachment.ifname), " of container ",
                 quote(record.attachment.container_id), " on network ", quote(record.network)));
  }
}

void check(const netlink::Link& link, const Vlan& now, const Vlan& wanted) {
  const std::string name = concat("interface ", quote(link.name));
  if (now.id != wanted.id) {
    throw Error(ErrorCode::kMismatch,
                concat("vlanId: ", name, " is in VLAN ", now.id, " instead of ", wanted.id));
  }
  if (now.protocol != wanted.protocol) {
    throw Error(ErrorCode::kMismatch,
                concat("protocol: ", name, " has tags of ", text_of_protocol(now.protocol),
                       " instead of ", text_of_protocol(wanted.protocol)));
  }
  const auto compare = [&](std::string_view key, std::vector<Vlan::Map> ours,
                           const std::vector<Vlan::Map>& theirs) {
    std::ranges::sort(ours);
    if (ours != theirs) throw Error(ErrorCode::kMismatch, concat(key, ": ", name, " has others"));
  };
  compare("egressQosMap", now.egress, wanted.egress);
  compare("ingressQosMap", now.ingress, wanted.ingress);
}

link_plugin::Spec parse(const Request& request) {
  const Vlan wanted = parse_vlan(request.conf.root());
  link_plugin::Spec spec{.kind = kName,
                         .keys = link_plugin::parse_keys(request, {.mac = true}),
                         .lower = link_plugin::Lower::kNamed,
                         .lower_must_be_up = true,
                         .fill = [wanted](netlink::Message& data) { netlink::fill(data, wanted); }};
  const bool on_host = !spec.keys.lower_in_container;
  spec.require_room = [wanted, on_host](netlink::Socket& socket, const netlink::Link& lower) {
    require_room(socket, lower, wanted, on_host);
  };
  spec.check = [wanted](const netlink::Link& link, const netlink::Attributes& data) {
    Vlan now;
    netlink::read(data, now);
    check(link, now, wanted);
  };
  return spec;
}

}  // namespace

const Plugin plugin = link_plugin::kPlugin<parse, kName>;

}  // namespace cni::vlan
