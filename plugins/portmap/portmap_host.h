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

/// The link over which each target is reached, where there is one, and which is to be opened.
void find_links(Host& host, Ports& ports);

/// Whether connections from the host's loopback addresses are to reach any target.
[[nodiscard]] bool needs_loopback(const Ports& ports);
/// Whether that opens links of their own only.
[[nodiscard]] bool has_own_links(const Ports& ports);
/// Throws Error{kInvalidConfig} when that would open a link that leads elsewhere, too: the way to a
/// container that is gone is the default route's.
void require_own_links(const Ports& ports);
/// Lets connections from the host's loopback addresses go out over the targets' links and their
/// answers come back: the sysctl route_localnet for IPv4, a local route to ::1 for IPv6. Both
/// belong to the link and are shared. What was closed before is noted in a file of the link's name
/// in /run/cnipp/route_localnet.
void open_loopback(Host& host, const Ports& ports);
/// Closes those of the links that we opened and that nobody needs any more.
void close_loopback(Host& host, const std::vector<std::string>& links);
/// The links that we opened.
[[nodiscard]] std::vector<std::string> list_open_links();
/// Throws Error{kMismatch}.
void check_loopback(Host& host, const Ports& ports);

/// Cuts UDP flows to the ports that do not lead to the container yet: from before they were mapped.
void forget_stale_flows(Host& host, const Owner& owner, const Ports& ports);
/// Cuts all connections that were redirected to an address that is being released.
void forget_redirected(Host& host, const std::vector<IpAddress>& containers);

}  // namespace cni::portmap
