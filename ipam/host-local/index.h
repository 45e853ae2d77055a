// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "model/ip.h"

namespace cni::host_local {

/// Which addresses are taken and by whom: a picture of the lease files.
class Index {
 public:
  /// An owner's hash; 0 stands for "nobody known".
  using OwnerHash = std::uint64_t;

  void insert(const IpAddress& address, OwnerHash owner);
  void erase(const IpAddress& address, OwnerHash owner);
  [[nodiscard]] std::vector<IpAddress> find(OwnerHash owner) const;
  /// The first address of [lo, hi] that is not taken.
  [[nodiscard]] std::optional<IpAddress> next_free(IpAddress lo, const IpAddress& hi) const;

 private:
  std::set<IpAddress> taken_;
  std::multimap<OwnerHash, IpAddress> owners_;
};

}  // namespace cni::host_local
