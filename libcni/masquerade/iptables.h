// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/ip.h"

/// Masquerading with iptables, in the chains and with the comments of the reference implementation,
/// so that either can remove what the other made: chain CNI-<24 hex digits of SHA-512(network id)>,
/// a jump from POSTROUTING for each address. Through host/xtables.h.
namespace cni::masquerade::iptables {

/// An attachment as the reference's objects know it: the interface name is not part of them.
struct Target {
  std::string network;
  std::string container_id;
};

/// `exclude` are destinations to which nothing is translated. Idempotent. Throws
/// Error{kNotAvailable} when the programs are missing.
void add(const Target& target, const std::vector<IpNet>& addresses,
         const std::vector<IpNet>& exclude);
/// Removes the jumps of these addresses, or all of the container's when `addresses` is empty, and
/// the chain with its last jump. Does nothing, and runs nothing, when the kernel has no such chain.
void remove(Host& host, const Target& target, const std::vector<IpAddress>& addresses);
/// Throws Error{kMismatch}.
void check(const Target& target, const std::vector<IpNet>& addresses,
           const std::vector<IpNet>& exclude);
/// Removes the chains of the network's containers for which keep(id) is false.
void collect(Host& host, std::string_view network,
             const std::function<bool(std::string_view container_id)>& keep);

/// True when a chain of this name may be there; false is certain.
[[nodiscard]] bool may_exist(Host& host, const Target& target);

}  // namespace cni::masquerade::iptables
