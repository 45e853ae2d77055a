// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "attach/host.h"
#include "base/rollback.h"
#include "bridge_config.h"
#include "netlink/link.h"

/// The bridge itself: shared by all containers of its networks. DEL never removes it.
namespace cni::bridge {

/// Finds or creates the bridge, up. Throws Error{kConflict} when the name belongs to another kind
/// of link. `rollback` removes a bridge made here, unless somebody has joined it.
netlink::Link ensure_bridge(Host& host, const Config& conf, Rollback& rollback);

/// Gives the bridge these gateway addresses. An address left from an earlier subnet is replaced
/// when no other port than `own_port` is attached, or with forceAddress; else Error{kConflict}.
void ensure_gateways(Host& host, const Config& conf, const netlink::Link& bridge, int own_port,
                     const std::vector<IpNet>& gateways, Rollback& rollback);

/// A bridge of another origin that holds our gateway gets its MAC pinned, so that it does not
/// follow its ports.
void pin_mac(Host& host, const netlink::Link& bridge);

/// Removes the bridge if we created it and nothing is attached to it.
void remove_unused_bridge(Host& host, const std::string& name);

/// Throws Error{kNotAvailable} when the name is taken by something that is not a bridge.
void require_usable(Host& host, const Config& conf);

}  // namespace cni::bridge
