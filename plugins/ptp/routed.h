// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "attach/veth.h"
#include "host/host.h"
#include "model/result.h"
#include "netlink/route.h"

/// The two sides of a routed link, derived from the result: the same for ADD and CHECK.
namespace cni::ptp {

inline constexpr int kContainerIndex = 1;  // in result.interfaces: host end, container

/// Completes IPAM's result: the interface of every address, and the gateway of those that came
/// without one. That is the first address of the subnet as long as it has others to give; else
/// 169.254.1.1 or fe80::1, which no container can have. Throws Error{kDelegate} when an address is
/// its own gateway.
[[nodiscard]] Result complete(Result result);

/// The container's routes to its gateways and, through them, to its own subnets: nobody else is on
/// the link. A subnet that the result has a route for is left to that.
[[nodiscard]] std::vector<netlink::KernelRoute> container_routes(const Result& result, int ifindex);

/// Gives the host's end the gateway addresses, and the host a route to every address of the
/// container. Throws Error{kConflict} when an address is routed elsewhere. Undone by deleting the
/// link.
void configure_host_end(Host& host, const netlink::Link& link, const Result& result);
/// Throws Error{kMismatch} when one of these is missing.
void check_host_end(Host& host, const netlink::Link& link, const Result& result);

}  // namespace cni::ptp
