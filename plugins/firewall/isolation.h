// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/owner.h"
#include "netlink/socket.h"

/// Keeps containers from each other, in our own nf_tables tables:
///
///   table inet cnipp {
///     chain forward { type filter hook forward priority filter;
///       jump admin                        # the administrator's
///       iifname vmap @isolated            # "cni0" : goto isolated-cni0
///       iifname vmap @from-bridge }       # "cni0" : goto bridge-cni0
///     chain isolated-cni0 { oifname "cni0" drop; goto bridge-cni0 }
///     chain bridge-cni0 { oifname "cni0" return; oifname vmap @to-bridge }   # "cni1" : drop
///     map ingress-policy { ... } }        # the ledger: attachment -> isolated-cni0
///   table bridge cnipp {
///     chain forward { type filter hook forward priority filter;
///       jump admin
///       iifname vmap @gateways            # "vlan-port" comment "<leg>" : accept
///       oifname vmap @gateways
///       iifname vmap @isolated            # "veth1" comment "<owner>" : drop
///       oifname vmap @isolated } }
///
/// Per packet and per verb the cost does not depend on the number of containers or bridges; the
/// order in which attachments come does not matter; a bridge's part goes with its last attachment.
/// Frames between two ports are dropped in the bridge itself, with or without br_netfilter,
/// whatever the protocol. All functions act in the socket's namespace.
namespace cni::firewall::isolation {

enum class Policy : unsigned char { kSameBridge, kIsolated };

/// Where an attachment's packets pass on the host.
struct Place {
  std::string link;                // the interface that routes them: the bridge
  std::vector<std::string> ports;  // of that bridge, the attachment's own
  std::string gateway_port = {};   // of the bridge, where `link` is a leg in a VLAN: it leads there
};

/// Idempotent: all together or, on failure, nothing. Replaces what the owner had.
void add(netlink::Socket& socket, const Owner& owner, Policy policy, const Place& place);
/// Whether the owner has a policy here.
[[nodiscard]] bool has(netlink::Socket& socket, const Owner& owner);
/// Removes what belongs to the owner, and what nobody uses any more. Succeeds when there is
/// nothing.
void remove(netlink::Socket& socket, const Owner& owner);
/// Throws Error{kMismatch} naming the first thing that is missing or different.
void check(netlink::Socket& socket, const Owner& owner, Policy policy, const Place& place);
/// Removes what belongs to the network's owners for which keep(tag) is false.
void collect(netlink::Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);
/// Removes the shared chains and maps when no attachment uses them and the administrator has put
/// nothing into "admin".
void remove_unused(netlink::Socket& socket);
/// Throws KernelError when this kernel cannot do it. Changes nothing.
void probe(netlink::Socket& socket, Policy policy);

}  // namespace cni::firewall::isolation
