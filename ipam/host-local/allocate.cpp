// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "allocate.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/rollback.h"
#include "reclaim.h"

namespace cni::host_local {
namespace {

/// What the steps of one ADD share.
struct Job {
  Store& store;
  const Config& config;
  const Attachment& owner;
  const NetNsIdentity& netns;
  std::vector<Lease> existing;  // what the attachment had before
  Liveness liveness;
  std::optional<std::size_t> freed = {};  // leases of the dead; nullopt: not looked for yet

  [[nodiscard]] bool is_dead(const Lease& lease) {
    return config.reclaim != Reclaim::kNever && liveness.judge(lease) == Life::kDead;
  }
};

IpAddress reserve_requested(Job& job, const RangeSet& set, const IpAddress& wanted) {
  if (set.is_gateway(wanted)) {
    throw Error(ErrorCode::kInvalidConfig,
                concat("requested ip ", wanted.text(), " is subnet's gateway"));
  }
  if (job.store.claim(wanted, job.owner, job.netns)) return wanted;
  const auto holder = job.store.find(wanted);
  if (holder && job.is_dead(*holder)) {
    job.store.release(*holder);
    if (job.store.claim(wanted, job.owner, job.netns)) return wanted;
  }
  throw Error(
      ErrorCode::kConflict,
      concat("requested IP address ", wanted.text(), " is not available in range set ", set.text()),
      holder ? concat(job.store.path_of(wanted), " belongs to ", describe_owner(*holder)) : "");
}

void check_not_allocated(Job& job, std::size_t number) {
  for (const Lease& lease : job.existing) {
    if (job.config.find_range(number, lease.address) == nullptr) continue;
    if (job.is_dead(lease)) {  // the same container, before a reboot or in an earlier namespace
      job.store.release(lease);
      continue;
    }
    throw Error(ErrorCode::kConflict,
                concat(lease.address.text(), " has been allocated to ", job.owner.container_id,
                       ", duplicate allocation is not allowed"),
                concat("lease file ", job.store.path_of(lease.address), ", interface ",
                       quote(job.owner.ifname)));
  }
}

std::optional<IpAddress> reserve_any(Job& job, std::size_t number, const RangeSet& set) {
  for (const Span& span : set.search_order(job.store.last_reserved(number))) {
    IpAddress lo = span.lo;
    while (const auto candidate = job.store.next_free(lo, span.hi)) {
      if (!set.is_gateway(*candidate)) {
        if (job.store.claim(*candidate, job.owner, job.netns)) return candidate;
        // Somebody made that file without our noticing.
        if (job.store.refresh()) continue;
      }
      if (*candidate == span.hi) break;
      lo = candidate->next();
    }
  }
  return std::nullopt;
}

/// The last resort: a look at all leases.
IpAddress reserve_after_reclaim(Job& job, std::size_t number, const RangeSet& set) {
  Census census;
  if (job.config.reclaim != Reclaim::kNever && !job.freed) {
    census = reclaim_dead(job.store, job.liveness);
    job.freed = census.freed;
  } else {
    census.leases = job.store.survey();
  }
  if (const auto address = reserve_any(job, number, set)) return *address;
  throw Error(ErrorCode::kTryAgain, concat("no IP addresses available in range set: ", set.text()),
              concat(describe_full(set, census.leases, job.liveness, job.store),
                     describe_freed(job.freed.value_or(0))));
}

IpAddress reserve(Job& job, std::size_t number, std::vector<IpAddress>& requested) {
  const RangeSet& set = job.config.sets[number];
  const auto wanted = std::ranges::find_if(
      requested, [&](const IpAddress& ip) { return job.config.find_range(number, ip) != nullptr; });
  if (wanted != requested.end()) {
    const IpAddress address = *wanted;
    requested.erase(wanted);
    return reserve_requested(job, set, address);
  }
  check_not_allocated(job, number);
  if (const auto address = reserve_any(job, number, set)) return *address;
  return reserve_after_reclaim(job, number, set);
}

}  // namespace

bool has_room(Store& store, const RangeSet& set) {
  for (const Range& range : set.ranges()) {
    IpAddress lo = range.start;
    while (const auto candidate = store.next_free(lo, range.end)) {
      if (!set.is_gateway(*candidate)) return true;
      if (*candidate == range.end) break;
      lo = candidate->next();
    }
  }
  return false;
}

std::vector<IpConfig> allocate(Store& store, const Config& config, const Attachment& owner,
                               const NetNsIdentity& netns) {
  Job job{store, config, owner, netns, store.find(owner), store.liveness()};
  if (config.reclaim == Reclaim::kOnBoot && store.fresh()) {
    job.freed = reclaim_dead(store, job.liveness).freed;
    job.existing = store.find(owner);
  }
  std::vector<IpAddress> requested = config.requested;
  std::vector<IpConfig> out;
  Rollback rollback;
  for (std::size_t i = 0; i < config.sets.size(); ++i) {
    try {
      const IpAddress address = reserve(job, i, requested);
      rollback.on_failure(concat("release ", address.text()), [&store, &owner, address] {
        store.release(Lease{.address = address, .owner = owner});
      });
      const Range* range = config.find_range(i, address);
      if (range->contains(address)) store.set_last_reserved(i, address);
      out.push_back({std::nullopt, {address, range->subnet.prefix}, range->gateway});
    } catch (const Error& error) {
      throw Error(error.code(), concat("failed to allocate for range ", i, ": ", error.msg()),
                  error.details());
    }
  }
  if (!requested.empty()) {
    std::string list;
    for (const IpAddress& address : requested) list += concat(" ", address.text());
    throw Error(ErrorCode::kInvalidConfig, concat("failed to allocate all requested IPs:", list),
                "no range set contains them, or another request was served from it "
                "(\"requestsOutsideRanges\": true lets their subnets suffice)");
  }
  rollback.commit();
  return out;
}

}  // namespace cni::host_local
