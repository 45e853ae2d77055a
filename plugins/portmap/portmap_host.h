// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "host/host.h"
#include "model/ip.h"
#include "model/owner.h"
#include "ports.h"

/// What published ports need of the host besides rules.
namespace cni::portmap {

/// The link over which each target is reached, where there is one.
void find_links(Host& host, std::vector<Target>& targets);

/// Whether connections from the host's loopback addresses are to reach any target.
[[nodiscard]] bool needs_loopback(const Ports& ports);
/// Lets connections from the host's loopback addresses go out over the targets' links and their
/// answers come back: the sysctl route_localnet for IPv4, a local route to ::1 for IPv6. Both
/// belong to the link and are shared.
void open_loopback(Host& host, const Ports& ports);
/// Throws Error{kMismatch}.
void check_loopback(Host& host, const Ports& ports);

/// Cuts UDP flows to the ports that do not lead to the container yet: from before they were mapped.
void forget_stale_flows(Host& host, const Owner& owner, const Ports& ports);
/// Cuts all connections that were redirected to an address that is being released.
void forget_redirected(Host& host, const std::vector<IpAddress>& containers);

}  // namespace cni::portmap
