// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "model/owner.h"
#include "netlink/socket.h"

/// The rules of the reference's nftables backend, which are checked and removed but never made: one
/// for each address in a chain of a table of its own, with a comment that begins with the owner's
/// tag.
namespace cni::masquerade::reference {

[[nodiscard]] std::size_t count(netlink::Socket& socket, const Owner& owner);
/// Removes the rules of the owners whose tags are chosen.
void remove(netlink::Socket& socket, const std::function<bool(std::string_view tag)>& chosen);

}  // namespace cni::masquerade::reference
