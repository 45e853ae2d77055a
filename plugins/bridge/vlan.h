// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/rollback.h"
#include "bridge_config.h"
#include "host/host.h"
#include "netlink/link.h"

/// The VLANs of a container's port, and the bridge's own leg in a VLAN.
namespace cni::bridge {

/// Sets the port's VLANs as `vlan`, `vlanTrunk` and `preserveDefaultVlan` say. Nothing without
/// them.
void set_port_vlans(Host& host, const Config& conf, const netlink::Link& port);
/// Throws Error{kMismatch}.
void check_port_vlans(Host& host, const Config& conf, const netlink::Link& port);

/// Throws KernelError when this kernel cannot filter VLANs. Tries it in a namespace of its own.
void probe_vlan_filtering();

/// "<bridge>.<vlan>", or a short form of it that fits an interface name.
[[nodiscard]] std::string vlan_gateway_name(const Config& conf);
/// Throws Error{code} when a link of that name is something else.
void require_veth(const netlink::Link& gateway, ErrorCode code);
/// A veth pair in the host's namespace: one end is a port of the bridge in the VLAN, the other, of
/// vlan_gateway_name, holds the gateway addresses. Shared, never removed by DEL. Adopts an existing
/// one.
netlink::Link ensure_vlan_gateway(Host& host, const Config& conf, const netlink::Link& bridge,
                                  int own_port, Rollback& rollback);

}  // namespace cni::bridge
