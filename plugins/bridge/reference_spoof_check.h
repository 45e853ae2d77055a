// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/ip.h"
#include "netlink/socket.h"

/// The source address check that the reference makes: chains of the attachment in `table bridge
/// nat`. We check and remove it, but never make it.
namespace cni::nft::reference_spoof_check {

/// Removes it if it is there.
void remove(netlink::Socket& socket, const Attachment& attachment);

/// Whether it is there, whole, for this port and address.
[[nodiscard]] bool holds(netlink::Socket& socket, const Attachment& attachment,
                         const std::string& port, const Mac& mac);

/// For GC. The objects do not say to which network they belong: removed are those whose port does
/// not exist, which can check nothing any more, unless they are of an attachment in `valid`.
void collect(netlink::Socket& socket, const std::vector<Attachment>& valid,
             const std::function<bool(const std::string& port)>& exists);

}  // namespace cni::nft::reference_spoof_check
