// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/owner.h"
#include "netlink/socket.h"

/// Lets containers' packets through the FORWARD chain of iptables-nft, over netlink, in the
/// reference's chains and in the words of iptables, which lists and changes these rules as its own:
///
///   -A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD        (first)
///   -A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
///   -A CNI-FORWARD -o cni0 -m conntrack --ctstate RELATED,ESTABLISHED ... -j ACCEPT
///   -A CNI-FORWARD -o cni0 -m conntrack --ctstate DNAT ... -j ACCEPT
///   -A CNI-FORWARD -i cni0 ... -j ACCEPT
///
/// The rules name the interface that routes the packets, so that their number does not depend on
/// that of containers; only where there is no such interface they name addresses. Where iptables
/// has no FORWARD chain nothing is made. The map "forward-accept" of `table inet cnipp` counts who
/// needs them; they go with the last attachment. All functions act in the socket's namespace.
namespace cni::firewall::nftables {

struct Selector {
  std::string link;                  // if empty, by address
  std::vector<IpAddress> addresses;  // their families are those that are accepted

  /// "cni0", or a hash of the addresses.
  [[nodiscard]] std::string name() const;
};

/// Idempotent: all together or, on failure, nothing. `admin_chain` is the administrator's.
void add(netlink::Socket& socket, const Owner& owner, const Selector& selector,
         std::string_view admin_chain);
/// Whether something is accepted for the owner.
[[nodiscard]] bool has(netlink::Socket& socket, const Owner& owner);
/// Succeeds when there is nothing.
void remove(netlink::Socket& socket, const Owner& owner);
/// Throws Error{kMismatch} naming the first thing that is missing.
void check(netlink::Socket& socket, const Owner& owner, const Selector& selector,
           std::string_view admin_chain);
/// Removes what belongs to the network's owners for which keep(tag) is false.
void collect(netlink::Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);
/// Removes the shared chains when nothing is in them but the jump to an empty admin chain.
void remove_unused(netlink::Socket& socket, std::string_view admin_chain);

}  // namespace cni::firewall::nftables
