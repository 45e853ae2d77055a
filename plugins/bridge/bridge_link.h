// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <vector>

#include "base/file_lock.h"
#include "base/rollback.h"
#include "bridge_config.h"
#include "host/host.h"
#include "netlink/link.h"

/// The bridge itself: shared by all containers of its networks. DEL never removes it.
namespace cni::bridge {

/// Keeps bridges from being removed while ports join: ADD holds it shared from looking at the
/// bridge to having a port on it, removal exclusively from counting the ports to deleting. nullopt,
/// and a warning, where no lock file can be made.
[[nodiscard]] std::optional<FileLock> lock_bridges(FileLock::Kind kind);

/// Finds or creates the bridge, up. One of another origin that is to hold our gateway, or has no
/// port, is given the MAC that it has for good: it would follow its ports. Throws Error{kConflict}
/// when the name belongs to another kind of link. `rollback` removes a bridge made here, unless
/// somebody has joined it.
netlink::Link ensure_bridge(Host& host, const Config& conf, Rollback& rollback);

/// Ports of the bridge other than `own_port` and the ports of VLAN gateways.
[[nodiscard]] std::size_t count_ports(Host& host, const netlink::Link& bridge, int own_port);

/// Gives `target` (the bridge, or its leg in a VLAN) these gateway addresses. An address left from
/// an earlier subnet is replaced when no other port than `own_port` is attached, or with
/// forceAddress; else Error{kConflict}.
struct GatewayPlace {
  netlink::Link bridge;
  netlink::Link target;
  int own_port = 0;  // ifindex of the port of this ADD
};
void ensure_gateways(Host& host, const Config& conf, const GatewayPlace& place,
                     const std::vector<IpNet>& gateways, Rollback& rollback);

/// Ours were given their MAC when they were made.
[[nodiscard]] bool has_pinned_mac(const netlink::Link& bridge);

/// Removes the bridge if we created it and nothing is attached to it.
void remove_unused_bridge(Host& host, const std::string& name);

/// Throws Error{kNotAvailable} when the name is taken by something that is not a bridge, or the
/// bridge is in use with an address that rules out these gateways.
void require_usable(Host& host, const Config& conf, const std::vector<IpNet>& gateways);

}  // namespace cni::bridge
