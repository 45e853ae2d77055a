// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <vector>

#include "host/host.h"
#include "model/result.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"

namespace cni {

/// How a container's link gets its addresses and routes.
struct InterfaceSetup {
  int index = 0;  // of the link in result.interfaces
  netlink::Dad dad = netlink::Dad::kSkip;
  netlink::PrefixRoute prefix_route = netlink::PrefixRoute::kAdd;
  bool announce = true;                     // IPv4 addresses to the neighbours, by ARP
  bool announce_v6 = false;                 // IPv6 addresses, by neighbour discovery
  std::vector<netlink::KernelRoute> first;  // routes that the result's may need
};

/// Gives the container's link its addresses and routes and sets it up: addresses whose `interface`
/// is `setup.index`, and all routes of the result; a route without gateway gets the first gateway
/// of its family. Acts in the sandbox. Undone by deleting the link.
void configure_interface(Sandbox& sandbox, const netlink::Link& link, const Result& result,
                         const InterfaceSetup& setup);

/// The routes of the result as configure_interface installs them, without repetitions.
[[nodiscard]] std::vector<netlink::KernelRoute> kernel_routes(const Result& result, int ifindex);

/// Throws Error{kMismatch} when an address or route of the result, or one of `first`, is missing on
/// the link.
void check_interface(Sandbox& sandbox, const netlink::Link& link, const Result& result,
                     const std::vector<netlink::KernelRoute>& first = {});
/// Throws Error{kMismatch} when one of the routes is missing on the link. Acts in the socket's
/// namespace.
void check_routes(netlink::Socket& socket, const netlink::Link& link,
                  const std::vector<netlink::KernelRoute>& routes);

/// Fails with kMismatch when the link's MAC (unless empty) or MTU (unless 0) is another.
void check_reported(const netlink::Link& link, const Interface& reported);

}  // namespace cni
