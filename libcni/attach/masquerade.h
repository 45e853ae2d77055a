// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/config.h"
#include "model/owner.h"
#include "nft/masquerade.h"

/// Masquerading whichever way it is done: our own nf_tables table, iptables as the reference does
/// it, and the reference's nftables rules, which we check and remove but never make.
namespace cni {

enum class MasqueradeBackend : unsigned char { kNftables, kIptables };

/// `backend` is the value of "ipMasqBackend"; absent and "" mean nftables. Throws
/// Error{kInvalidConfig}.
[[nodiscard]] MasqueradeBackend parse_masquerade_backend(const JsonRef& backend);

class Masquerade {
 public:
  Masquerade(Host& host, std::string network, Attachment attachment);

  void add(MasqueradeBackend backend, const std::vector<IpNet>& addresses);
  /// Of every backend, whatever the configuration says now. `likely` as in nft::masquerade::remove.
  void remove(const std::vector<IpAddress>& likely);
  /// Succeeds for what the reference made, too.
  void check(MasqueradeBackend backend, const std::vector<IpNet>& addresses);

  /// For GC: removes what belongs to attachments of the network that are not in `valid`.
  static void collect(Host& host, std::string_view network, const OwnerSet& valid);
  /// Throws when the backend cannot be used here.
  static void probe(Host& host, MasqueradeBackend backend);

 private:
  Host& host_;
  std::string network_;
  Attachment attachment_;
  Owner owner_;
};

}  // namespace cni
