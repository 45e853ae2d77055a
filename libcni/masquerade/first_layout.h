// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/owner.h"
#include "nft/set.h"

/// Masquerading as the first versions of this suite made it, which is checked and removed but never
/// made: maps masq4 and masq6 of `table inet cnipp` from an address to "goto masq4-<hash>", looked
/// up in chain postrouting. All functions act in the socket's namespace.
namespace cni::masquerade::first_layout {

/// An element, with its map.
struct Found {
  nft::Set map;
  nft::SetElement element;
};

/// What stands at these addresses, anybody's.
[[nodiscard]] std::vector<Found> find(netlink::Socket& socket, const std::vector<IpNet>& addresses);
/// Deletes that, as part of a change.
void delete_found(netlink::Socket& socket, nft::Transaction& transaction,
                  const std::vector<IpNet>& addresses);
/// Removes what the owner has, and all of it with the last element. Asks one thing where nothing of
/// this layout is there.
void remove(netlink::Socket& socket, const Owner& owner);
/// Whether the owner has masquerading of these addresses, whole. Throws Error{kMismatch} naming
/// what was changed where he has.
[[nodiscard]] bool holds(netlink::Socket& socket, const Owner& owner,
                         const std::vector<IpNet>& addresses);
/// Removes what belongs to the network's owners for which keep(tag) is false.
void collect(netlink::Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);

}  // namespace cni::masquerade::first_layout
