// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "model/result.h"
#include "netlink/link.h"

/// What a server's change of mind means for a container that is running.
namespace cni::dhcp {

/// From what the interface has to what it is to have: new addresses, then new routes, then the old
/// routes and addresses go. Others than those of `before` are not touched, and what is there
/// already, or gone already, is fine. Every step is tried; throws what failed.
void change(netlink::Socket& socket, const netlink::Link& link, const Result& before,
            const Result& now);
/// The address, and the routes with it.
void take_away(netlink::Socket& socket, const netlink::Link& link, const Result& before);

}  // namespace cni::dhcp
