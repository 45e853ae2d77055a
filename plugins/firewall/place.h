// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <vector>

#include "host/host.h"
#include "isolation.h"
#include "model/result.h"

namespace cni::firewall {

/// Where the attachment's packets pass on the host, from the result's interfaces without sandbox:
/// the one that routes them (the bridge, its leg in a VLAN, the host's end of a ptp pair; "" when
/// there is none) and those that are ports of a bridge.
[[nodiscard]] isolation::Place place_of(Host& host, const Result& result);

/// Names of the result's interfaces on the host that could be ports. Asks nobody.
[[nodiscard]] std::vector<std::string> host_interfaces(const Result& result);

/// All addresses of the result, whichever interface they are of, without repetitions.
[[nodiscard]] std::vector<IpAddress> addresses_of(const Result& result);

}  // namespace cni::firewall
