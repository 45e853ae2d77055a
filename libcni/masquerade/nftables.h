// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/owner.h"
#include "netlink/socket.h"

/// Source address translation of containers, in our own nf_tables table (shown for IPv4):
///
///   table inet cnipp {
///     set masq-<hash>-ipv4 { type ipv4_addr; elements = { 10.1.2.3 } }
///     chain masq-postrouting { type nat hook postrouting priority srcnat
///                              ip saddr @masq-<hash>-ipv4 goto masq-<hash> }
///     chain masq-<hash> { ip daddr 224.0.0.0/4 return
///                         ip daddr 10.1.2.0/24 return
///                         masquerade }
///     chain masq-forward { type filter hook forward priority filter
///                          ct state invalid goto masq-invalid }
///     chain masq-invalid { ip saddr @masq-<hash>-ipv4 goto masq-<hash>-invalid }
///     chain masq-<hash>-invalid { the same, but for the end: drop }
///     chain masq-<hash>-users { }
///     map masq-ledger { type ipv6_addr : verdict; elements = {
///       100::<hash> comment "<owner> a=10.1.2.3" : goto masq-<hash>-users,
///       ::ffff:10.1.2.3 comment "<owner>" : goto masq-<hash>-users } } }
///
/// What connection tracking does not know (a late RST or ACK) is not translated, and would leave
/// the host with the container's address: it is dropped.
///
/// The chains are shared by all containers with the same own subnets and exceptions, <hash>. A
/// connection costs a look-up for each such policy, a verb the same with any number of containers:
/// the kernel walks through maps of verdicts that rules look up at each change of them, and through
/// no others. The ledger is looked up by nobody but us. In it an owner is found by itself, an
/// address belongs to one owner, and the kernel counts who uses a policy; with the last user the
/// policy goes, with the last policy all of this. All functions act in the socket's namespace.
namespace cni::masquerade::nftables {

/// What an attachment asks for: its addresses, each with its own prefix, and the destinations to
/// which they are left as they are, beside their own subnets.
struct Wanted {
  std::vector<IpNet> addresses;
  std::vector<IpNet> exclude;
};

/// Whether the owner with this tag exists; false must be certain.
using Lives = std::function<bool(std::string_view tag)>;

/// Idempotent; replaces what the owner had, and what others who do not live any more have for these
/// addresses. Throws Error{kConflict} naming an owner who does.
void add(netlink::Socket& socket, const Owner& owner, const Wanted& wanted, const Lives& lives);
/// Succeeds when there is nothing.
void remove(netlink::Socket& socket, const Owner& owner);
/// Throws Error{kMismatch} naming the first thing that is missing or different.
void check(netlink::Socket& socket, const Owner& owner, const Wanted& wanted);
/// Removes what belongs to the network's owners for which keep(tag) is false, and what is shared
/// when nobody uses it any more.
void collect(netlink::Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);
/// Throws KernelError when an ADD could not be served: no nf_tables, no NAT, no permission, or
/// somebody else's objects under our names. Changes nothing, and only looks where all is in place.
void probe(netlink::Socket& socket);

}  // namespace cni::masquerade::nftables
