// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string_view>

#include "model/ip.h"
#include "model/owner.h"
#include "netlink/socket.h"

/// Drops frames that a container sends with another source MAC than its own, in our own nf_tables
/// table of the bridge family:
///
///   table bridge cnipp {
///     map macspoof { type ifname : verdict; elements = { "veth1" comment "<owner>" : goto
///     mac-veth1 } } chain prerouting { type filter hook prerouting priority -300;
///       iifname vmap @macspoof }
///     chain mac-veth1 { ether saddr != 0a:58:0a:01:02:03 drop } }
///
/// One look-up per frame, however many containers there are. The key is the host end's name, which
/// is derived from the owner: removal needs neither the container nor its MAC. All functions act in
/// the socket's namespace.
namespace cni::nft::spoof_check {

/// Idempotent.
void add(netlink::Socket& socket, const Owner& owner, const std::string& port, const Mac& mac);
/// Succeeds when there is nothing. Removes the table with its last element.
void remove(netlink::Socket& socket, const std::string& port);
/// Throws Error{kMismatch} naming the first thing that is missing or different.
void check(netlink::Socket& socket, const Owner& owner, const std::string& port, const Mac& mac);
/// Removes the checks of the network's owners for which keep(tag) is false.
void collect(netlink::Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);
/// Throws KernelError when this kernel cannot do it. Changes nothing.
void probe(netlink::Socket& socket);

}  // namespace cni::nft::spoof_check
