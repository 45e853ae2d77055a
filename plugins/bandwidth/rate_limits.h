// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>

#include "netlink/qdisc.h"
#include "protocol/request.h"

namespace cni::bandwidth {

/// Of one direction.
struct Limit {
  std::uint64_t rate = 0;              // bytes a second, not 0
  std::optional<std::uint32_t> burst;  // bytes; nullopt: "no limit", ours to choose
};

/// The plugin's configuration; docs/plugins/bandwidth.md describes the keys.
struct Limits {
  std::optional<Limit> ingress;  // towards the container
  std::optional<Limit> egress;   // from the container
  [[nodiscard]] bool empty() const noexcept { return !ingress && !egress; }

  /// Throws Error{kInvalidConfig}.
  [[nodiscard]] static Limits parse(const Request& request);
};

/// What is put on a link with this MTU. docs/decisions/0015-short-queues.md has the reasons for the
/// numbers.
[[nodiscard]] netlink::TokenBucket bucket_of(const Limit& limit, unsigned mtu) noexcept;
[[nodiscard]] netlink::FairQueue queue_of(const Limit& limit, unsigned mtu) noexcept;
/// What the kernel tells of the bucket that the reference makes for the limit.
[[nodiscard]] netlink::TokenBucketState state_of_reference(const Limit& limit,
                                                           std::uint32_t told_ticks) noexcept;

}  // namespace cni::bandwidth
