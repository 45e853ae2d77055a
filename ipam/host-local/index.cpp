// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "index.h"

namespace cni::host_local {

void Index::insert(const IpAddress& address, OwnerHash owner) {
  taken_.insert(address);
  if (owner != 0) owners_.emplace(owner, address);
}

void Index::erase(const IpAddress& address, OwnerHash owner) {
  taken_.erase(address);
  auto [begin, end] = owners_.equal_range(owner);
  while (begin != end) begin = begin->second == address ? owners_.erase(begin) : std::next(begin);
}

std::vector<IpAddress> Index::find(OwnerHash owner) const {
  std::vector<IpAddress> out;
  const auto [begin, end] = owners_.equal_range(owner);
  for (auto it = begin; it != end; ++it) out.push_back(it->second);
  return out;
}

std::optional<IpAddress> Index::next_free(IpAddress lo, const IpAddress& hi) const {
  for (auto it = taken_.lower_bound(lo); it != taken_.end() && *it == lo; ++it) {
    if (lo == hi) return std::nullopt;
    lo = lo.next();
  }
  return lo;
}

}  // namespace cni::host_local
