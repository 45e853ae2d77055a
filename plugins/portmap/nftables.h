// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "holders.h"
#include "model/ip.h"
#include "model/owner.h"
#include "netlink/socket.h"
#include "ports.h"

/// Published ports in our own nf_tables table (shown for IPv4; the chains serve both families):
///
///   table inet cnipp {
///     map hostports4 { type inet_proto . inet_service : ipv4_addr . inet_service }
///     map hostip-ports4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
///     chain hostports { dnat ip to ip daddr . meta l4proto . th dport map @hostip-ports4
///                       dnat ip to meta l4proto . th dport map @hostports4 }
///     chain hostport-prerouting { type nat hook prerouting priority dstnat + 5
///                                 fib daddr type local jump hostports }
///     chain hostport-output { the same for what the host itself sends }
///     chain hostport-postrouting { type nat hook postrouting priority srcnat - 5
///                                  ct status dnat ip daddr vmap @hostport-targets4 }
///     chain hostport-snat4 { masquerade: from 127/8, back to its sender, back over the bridge it
///                            came from }
///     chain hostport-martians { type filter hook prerouting priority raw: loopback addresses do
///                               not come in from outside } }
///
/// Per connection and per verb the cost does not depend on the number of mappings. Elements belong
/// to their owner; everything else is shared: DEL leaves it, remove_unused removes it. Every
/// change is one transaction that fails when its premises do not hold, and is then tried anew
/// (nft/change.h). All functions act in the socket's namespace.
namespace cni::portmap::nftables {

/// Says what an owner is to the one that publishes.
using Judge = std::function<Holder(std::string_view tag)>;

/// Idempotent; replaces what the owner had. What the dead have goes. A port that the owner's own
/// container has on another network is waited for, those of the pod that it replaces come behind
/// its own. Throws Error{kConflict} naming any other owner of a port, or of our address. `changed`
/// tells, also after a throw, whether the kernel may have taken anything: what the caller has to
/// undo. Returns the links that were open for what had to give way.
std::vector<std::string> add(netlink::Socket& socket, const Owner& owner, const Ports& ports,
                             const Judge& judge, bool& changed);

/// Removes what the owner has. `likely` is what it may be: when that is all, no dump is needed.
/// Succeeds when there is nothing.
Removed remove(netlink::Socket& socket, const Owner& owner, const Ports& likely);

/// Throws Error{kMismatch} naming the first thing that is missing or different.
void check(netlink::Socket& socket, const Owner& owner, const Ports& ports);
/// Whether the owner has anything here.
[[nodiscard]] bool has(netlink::Socket& socket, const Owner& owner);
/// For a container whose ports are published by other means: throws as `add` does.
void require_free(netlink::Socket& socket, const Owner& owner, const Ports& ports,
                  const Judge& judge);
/// Whether anybody has published ports of a container of this address.
[[nodiscard]] bool is_target(netlink::Socket& socket, const IpAddress& container);
/// Whether another owner has this very port of this very address of the host.
[[nodiscard]] bool is_bound_by_another(netlink::Socket& socket, const Owner& owner,
                                       const IpAddress& host, const PortMapping& mapping);

/// Whether nobody needs this link to be open (any more). Then what stands for it is removed.
bool release(netlink::Socket& socket, std::string_view link);
[[nodiscard]] bool needs_open(netlink::Socket& socket, std::string_view link);

/// Removes what the network's owners have for which keep(tag) is false.
Removed collect(netlink::Socket& socket, std::string_view network,
                const std::function<bool(std::string_view tag)>& keep);
/// Removes what is shared when nobody has anything in it.
void remove_unused(netlink::Socket& socket);
/// Throws KernelError when this kernel cannot do it. Changes nothing.
void probe(netlink::Socket& socket);

}  // namespace cni::portmap::nftables
