// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/rollback.h"
#include "host/host.h"
#include "model/config.h"
#include "model/owner.h"
#include "netlink/link.h"
#include "rate_limits.h"

namespace cni::bandwidth {

/// The device that what the container sends passes: "ifb" and 12 hex digits of a hash of the
/// owner's tag, which is in its alias.
[[nodiscard]] std::string ifb_name(const Owner& owner);
/// The reference's: "bwp" and 12 hex digits of SHA-512(network id). The interface name is not part
/// of it.
[[nodiscard]] std::string reference_ifb_name(std::string_view network,
                                             std::string_view container_id);
/// What belongs to an attachment, ours and the reference's names.
struct Names {
  Owner owner;
  std::string ifb, reference_ifb;
  explicit Names(const Request& request);
};
/// Handles of our token buckets: with fq_codel below, and without.
inline constexpr std::uint32_t kFairHandle = 0x0cc10000, kPlainHandle = 0x0cc20000;
inline constexpr std::uint32_t kReferenceHandle = 0x00010000;

/// A token bucket at the root that is ours or the reference's.
[[nodiscard]] bool is_own_bucket(const netlink::Qdisc& root) noexcept;

/// The host end of the container's veth. Throws Error: kInvalidConfig for another kind of
/// interface, kKernel when there is none.
[[nodiscard]] netlink::Link get_host_end(Host& host, Sandbox& sandbox, const std::string& ifname);

/// The reference's ifb. Ours has its name as a second one, so that the reference's DEL finds it.
[[nodiscard]] std::optional<netlink::Link> find_reference_ifb(Host& host, const Names& names);

/// Limits what goes out of the link. One that was there before, ours or the reference's, is
/// replaced; another root qdisc is Error{kConflict}.
void limit_link(Host& host, const netlink::Link& link, const Limit& limit, unsigned mtu,
                Rollback& rollback);
/// Sends what arrives at the veth through a limited ifb. Returns that.
netlink::Link limit_arrivals(Host& host, const netlink::Link& veth, const Names& names,
                             const Limit& limit, Rollback& rollback);

/// Throw Error{kMismatch}. What the reference made passes too.
void check_limit(Host& host, const netlink::Link& link, const Limit& limit, unsigned mtu);
/// Returns the ifb.
netlink::Link check_arrivals(Host& host, const netlink::Link& veth, const Names& names,
                             const Limit& limit);

/// Throws KernelError naming what this kernel cannot do. Leaves nothing.
void probe(const Limits& limits);

}  // namespace cni::bandwidth
