// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// macvlan: a link with a MAC of its own on a link of the host, or of the container.
//
// On the host:     a record of the attachment
// In the sandbox:  <CNI_IFNAME> labelled with the owner, with the addresses and routes of IPAM
// Options and examples: docs/plugins/macvlan.md
#include <linux/if_link.h>

#include <array>
#include <limits>
#include <utility>

#include "attach/link_plugin.h"
#include "base/concat.h"
#include "base/error.h"
#include "plugins.h"

namespace cni::macvlan {
namespace {

using netlink::Macvlan;

constexpr char kName[] = "macvlan";

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 4> kModes{
    {{"bridge", MACVLAN_MODE_BRIDGE},
     {"private", MACVLAN_MODE_PRIVATE},
     {"vepa", MACVLAN_MODE_VEPA},
     {"passthru", MACVLAN_MODE_PASSTHRU}}};

std::uint32_t parse_mode(const JsonRef& json) {
  const std::string name = json.string_or("bridge");
  for (const auto& [known, mode] : kModes) {
    if (known == name || (name.empty() && mode == MACVLAN_MODE_BRIDGE)) return mode;
  }
  json.fail(concat("unknown macvlan mode: ", quote(name)));
}

std::string text_of(std::uint32_t mode) {
  for (const auto& [name, known] : kModes) {
    if (known == mode) return std::string(name);
  }
  return concat("number ", mode);
}

void check(const netlink::Link& link, const Macvlan& now, const Macvlan& wanted) {
  if (now.mode != wanted.mode) {
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(link.name), " has macvlan mode ", text_of(now.mode),
                       " instead of ", text_of(wanted.mode)));
  }
  // Kernels before 5.11 do not have it.
  const auto length = now.broadcast_queue_length;
  if (wanted.broadcast_queue_length && length && length != wanted.broadcast_queue_length) {
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(link.name), " has a broadcast queue of ", *length,
                       " packets instead of ", *wanted.broadcast_queue_length));
  }
}

link_plugin::Spec parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Macvlan wanted{.mode = parse_mode(root["mode"])};
  const auto length = root["bcqueuelen"].int_or(0, 0, std::numeric_limits<std::uint32_t>::max());
  if (length != 0) wanted.broadcast_queue_length = static_cast<std::uint32_t>(length);
  link_plugin::Spec spec{.kind = kName,
                         .keys = link_plugin::parse_keys(request, {.mac = true, .args = true}),
                         .lower = link_plugin::Lower::kDefaultRoute,
                         .fill = [wanted](netlink::Message& data) { netlink::fill(data, wanted); }};
  if (wanted.mode == MACVLAN_MODE_PASSTHRU && spec.keys.mac) {
    root["mac"].fail(
        concat("mode passthru gives the interface its master's MAC, not ", spec.keys.mac->text()));
  }
  spec.check = [wanted](const netlink::Link& link, const netlink::Attributes& data) {
    Macvlan now;
    netlink::read(data, now);
    check(link, now, wanted);
  };
  return spec;
}

}  // namespace

const Plugin plugin = link_plugin::kPlugin<parse, kName>;

}  // namespace cni::macvlan
