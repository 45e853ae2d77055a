// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netlink/socket.h"

/// Traffic control: queueing disciplines and filters of links.
namespace cni::netlink {

/// A qdisc "tbf" at the root of a link.
struct TokenBucket {
  std::uint64_t rate = 0;   // bytes a second, not 0
  std::uint32_t burst = 0;  // bytes, not 0
  std::uint32_t limit = 0;  // bytes that may wait, unless another qdisc is put below
  std::uint32_t chunk = 0;  // larger packets are cut into frames; 0: those larger than `burst`
};

/// What the kernel tells of one: times are in its ticks of 64 ns, modulo 2^32.
struct TokenBucketState {
  std::uint64_t rate = 0, peak = 0;  // bytes a second; peak 0: none
  std::uint32_t limit = 0, burst_ticks = 0, chunk_ticks = 0;
  friend bool operator==(const TokenBucketState&, const TokenBucketState&) = default;
};
/// What it will tell of this one.
[[nodiscard]] TokenBucketState state_of(const TokenBucket& bucket) noexcept;

/// A qdisc "fq_codel": shares among flows, and drops what waits too long.
struct FairQueue {
  std::uint32_t target = 0, interval = 0;  // us
  std::uint32_t limit = 0, flows = 0;      // packets, number of hash buckets
  /// As the kernel tells it: it keeps times in units of 1024 ns.
  [[nodiscard]] bool matches(const FairQueue& told) const noexcept;
};

struct Qdisc {
  std::string kind;
  std::uint32_t handle = 0;  // 0: the kernel's own default
  std::optional<TokenBucketState> token_bucket;
  std::optional<FairQueue> fair_queue;
};

/// The link's root qdisc; the one below a root's only class; the one for what arrives.
[[nodiscard]] std::optional<Qdisc> find_root_qdisc(Socket& socket, int ifindex);
[[nodiscard]] std::optional<Qdisc> find_child_qdisc(Socket& socket, int ifindex,
                                                    std::uint32_t root);
[[nodiscard]] std::optional<Qdisc> find_ingress_qdisc(Socket& socket, int ifindex);
/// The links that have a qdisc for what arrives.
[[nodiscard]] std::vector<int> list_links_with_ingress_qdisc(Socket& socket);

// Requests, to be sent by Socket::transact. `link` is for messages.

/// Creates, replaces another root qdisc, or changes the one of this handle.
[[nodiscard]] Message put_token_bucket(int ifindex, const std::string& link, std::uint32_t handle,
                                       const TokenBucket& bucket);
/// Below the token bucket with handle `root`. ENOENT when the kernel has no fq_codel. One that is
/// there is changed only if `queue` says nothing of flows (0): EINVAL otherwise.
[[nodiscard]] Message put_fair_queue(int ifindex, const std::string& link, std::uint32_t root,
                                     const FairQueue& queue);
/// ENOENT, EINVAL or EOPNOTSUPP when the root qdisc is another one.
[[nodiscard]] Message delete_root_qdisc(int ifindex, const std::string& link, std::uint32_t handle);
/// A "clsact": a place for filters. EEXIST when there is one, or an "ingress".
[[nodiscard]] Message new_clsact(int ifindex, const std::string& link);
[[nodiscard]] Message delete_ingress_qdisc(int ifindex, const std::string& link);

/// A filter for what arrives at a link.
struct Filter {
  std::uint16_t priority = 0;
  std::uint16_t protocol = 0;  // ETH_P_*
  bool redirects = false;      // sends packets out of another link
  int target = 0;              // that link's ifindex; 0: it has gone, packets are lost
  bool all = false;            // an u32 that matches every packet
};
[[nodiscard]] std::vector<Filter> list_ingress_filters(Socket& socket, int ifindex);
/// Whether a clsact has filters for what leaves the link.
[[nodiscard]] bool has_egress_filters(Socket& socket, int ifindex);
/// Sends everything that arrives out of the link `target`. EEXIST when the priority is taken.
[[nodiscard]] Message new_redirect(int ifindex, const std::string& link, std::uint16_t priority,
                                   int target);
/// All filters of this priority and protocol.
[[nodiscard]] Message delete_ingress_filters(int ifindex, const std::string& link,
                                             std::uint16_t priority, std::uint16_t protocol);

}  // namespace cni::netlink
