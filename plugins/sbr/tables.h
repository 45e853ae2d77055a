// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "base/rollback.h"
#include "netlink/link.h"
#include "netlink/rule.h"
#include "sbr_config.h"

/// What sends from an address is looked up in a table of its own:
///
///   ip rule add from ADDRESS lookup TABLE proto 163
///   ip route add default via GATEWAY dev IFNAME table TABLE proto 163
///
/// and the routes of the link that serve the address are in that table instead of in main. With a
/// table of the configuration there is only the rule, with proto 164. All functions act in the
/// namespace of the socket; none is called by two processes of ours at once.
namespace cni::sbr {

/// An address and the table that its rule looks up.
struct Served {
  Source source;
  unsigned table = 0;
};

/// Each step is such that remove() undoes what there is. Idempotent.
[[nodiscard]] std::vector<Served> make(netlink::Socket& socket, const netlink::Link& link,
                                       const Config& conf, const std::vector<Source>& sources);

/// Puts the routes back into main, and deletes the rules of these addresses; also rules of ours
/// whose table has become empty. Without a link there are only rules.
void remove(netlink::Socket& socket, const netlink::Link* link,
            const std::vector<IpNet>& addresses);

/// Throws Error{kMismatch} naming the first rule or route that is missing, or is where it should
/// not be. `routes` are the result's.
void check(netlink::Socket& socket, const netlink::Link& link, const Config& conf,
           const std::vector<Source>& sources, const std::vector<Route>& routes);

}  // namespace cni::sbr
