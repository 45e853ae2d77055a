// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/ip.h"

/// Published ports as the reference's nftables backend makes them: rules in the tables ip and ip6
/// cni_hostport, which we check and remove but never make. Their comment is the container id and
/// nothing else: they know neither network nor interface.
namespace cni::portmap::reference {

/// Removes the container's rules that mention one of the addresses, or all of the container's when
/// no address is known. Succeeds when there are none.
void remove(Host& host, std::string_view container_id, const std::vector<IpAddress>& addresses);

/// How many redirections to the address the container has.
[[nodiscard]] std::size_t count(Host& host, std::string_view container_id,
                                const IpAddress& address);

}  // namespace cni::portmap::reference
