// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "reclaim.h"

#include <time.h>

#include "base/concat.h"
#include "base/log.h"

namespace cni::host_local {
namespace {

std::string utc(Timestamp when) {
  const time_t time = when / 1'000'000'000;
  tm parts{};
  char text[32];
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  return {text, ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

std::string describe_owner(const Lease& lease) {
  if (!lease.owner) return "a file that is no lease";
  if (lease.owner->ifname.empty()) return concat("container ", quote(lease.owner->container_id));
  return concat("container ", quote(lease.owner->container_id), " interface ",
                quote(lease.owner->ifname));
}

std::optional<Lease> find_dead(const Store& store, Liveness& liveness, const Brief& lease) {
  if (liveness.judge(lease) != Life::kDead) return std::nullopt;
  auto file = store.find(lease.address);
  if (file && liveness.judge(*file) != Life::kDead) file.reset();
  return file;
}

Census reclaim_dead(Store& store, Liveness& liveness) {
  Census out;
  for (const Brief& brief : store.survey()) {
    if (const auto lease = find_dead(store, liveness, brief)) {
      log::info(concat("free ", lease->address.text(), " of ", describe_owner(*lease),
                       lease->owner ? ": it cannot exist any more" : ""));
      store.release(*lease);
      ++out.freed;
    } else {
      out.leases.push_back(brief);
    }
  }
  if (out.freed > 0) {
    log::warn(concat("freed ", out.freed, " lease(s) of attachments that cannot exist any more"));
  }
  return out;
}

std::string describe_freed(std::size_t count) {
  if (count == 0) return {};
  return concat("; ", count,
                " lease(s) of attachments that cannot exist any more were freed just now");
}

std::string describe_full(const RangeSet& set, const std::vector<Brief>& leases, Liveness& liveness,
                          const Store& store) {
  std::size_t count = 0;
  std::size_t dead = 0;
  const Brief* oldest = nullptr;
  for (const Brief& lease : leases) {
    if (set.find(lease.address) == nullptr) continue;
    ++count;
    const Life life = liveness.judge(lease);
    if (life == Life::kDead || life == Life::kSuspect) ++dead;
    if (oldest == nullptr || lease.made < oldest->made) oldest = &lease;
  }
  if (oldest == nullptr) return "0 leases: the set has no address to hand out";
  const auto file = store.find(oldest->address);
  std::string out = concat(count, " leases, the oldest ", oldest->address.text(), " of ",
                           file ? describe_owner(*file) : "nobody", " since ", utc(oldest->made),
                           "; ", dead, " look dead");
  if (dead > 0) out += concat(", this frees them: cnitool ipam free ", store.network(), " --dead");
  return out;
}

}  // namespace cni::host_local
