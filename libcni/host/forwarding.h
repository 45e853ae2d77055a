// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "host/host.h"
#include "model/ip.h"

namespace cni {

/// Switches forwarding on for the families of these addresses, on the host and for good: to be done
/// last.
void enable_forwarding(Host& host, const std::vector<IpNet>& addresses);
/// Throws Error{kMismatch} when forwarding is off for the family of one of them.
void check_forwarding(const std::vector<IpNet>& addresses);

}  // namespace cni
