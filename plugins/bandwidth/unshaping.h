// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/owner.h"
#include "model/result.h"
#include "netlink/link.h"
#include "protocol/request.h"

/// What DEL, GC and the undoing of ADD take away.
namespace cni::bandwidth {

/// The other end of a container's veth, when it is on the host.
[[nodiscard]] std::optional<netlink::Link> find_host_end(Host& host, const netlink::Link& inside);

/// Removes the root qdisc of the link if it is a token bucket of ours or the reference's.
void remove_own_bucket(Host& host, const netlink::Link& link);

/// Removes the filters that send what arrives at the link to one of these links, or to one that has
/// gone: packets would be lost. The place for filters goes when it is empty.
void stop_redirecting(Host& host, const netlink::Link& link, const std::vector<int>& targets);

/// Removes the limits of an attachment: from the host end of its veth, if that still exists, and
/// the ifb, ours or the reference's. Needs neither the namespace nor the result.
void remove_limits(Host& host, const Request& request);

/// For GC: removes the ifbs of the network's owners that are not in `valid`, and those of the
/// reference that no link uses any more.
void collect_ifbs(Host& host, std::string_view network, const OwnerSet& valid);

}  // namespace cni::bandwidth
