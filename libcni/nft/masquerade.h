// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/owner.h"
#include "netlink/socket.h"

/// Source address translation of containers, in our own nf_tables table:
///
///   table inet cnipp {
///     map masq4 { type ipv4_addr : verdict; elements = { 10.1.2.3 comment "<owner>" : goto
///     masq4-<hash> } } map masq6 { ... } chain postrouting { type nat hook postrouting priority
///     srcnat;
///       ip saddr vmap @masq4
///       ip6 saddr vmap @masq6 }
///     chain masq4-<hash> {              # shared by all containers with the same own subnets
///       ip daddr 224.0.0.0/4 return
///       ip daddr 10.1.2.0/24 return
///       masquerade } }
///
/// Per packet and per verb the cost does not depend on the number of containers. Elements belong to
/// their owner. Everything else is shared: DEL leaves it, remove_unused removes it. Every
/// change is one transaction that fails when its premises do not hold, and is then tried anew
/// (nft/change.h). All functions act in the socket's namespace.
namespace cni::nft::masquerade {

/// One attachment's addresses, each with its own prefix.
using Addresses = std::vector<IpNet>;

/// Idempotent. An element of another owner for one of the addresses is replaced: the address was
/// given to us, so that owner is gone.
void add(netlink::Socket& socket, const Owner& owner, const Addresses& addresses);

/// Removes the owner's elements. `likely` are addresses it may have had: when all its elements are
/// among them, no dump is needed. Succeeds when there is nothing.
void remove(netlink::Socket& socket, const Owner& owner, const std::vector<IpAddress>& likely);

/// Throws Error{kMismatch} naming the first thing that is missing or different.
void check(netlink::Socket& socket, const Owner& owner, const Addresses& addresses);

/// Removes the elements of the network's owners for which keep(tag) is false.
void collect(netlink::Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);

/// Removes shared chains that nothing refers to, and the table when nothing is left in it.
void remove_unused(netlink::Socket& socket);

/// Throws KernelError when this kernel cannot do it (no nf_tables, no NAT, no permission). Changes
/// nothing.
void probe(netlink::Socket& socket);

}  // namespace cni::nft::masquerade
