// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"
#include "protocol/request.h"

namespace cni::tuning {

struct Sysctl {
  std::string key;    // as configured
  std::string entry;  // "net/ipv4/conf/eth0/rp_filter"
  std::string value;
};

/// The plugin's configuration; docs/plugins/tuning.md describes the keys.
struct Config {
  std::vector<Sysctl> sysctls;  // in the order of writing: what sets many entries at once first
  std::optional<Mac> mac;
  bool promisc = false;  // false: left as it is
  std::optional<unsigned> mtu;
  std::optional<bool> allmulti;
  std::optional<unsigned> tx_queue_len;
  std::string data_dir;

  [[nodiscard]] bool changes_link() const noexcept {
    return mac || promisc || mtu || allmulti || tx_queue_len;
  }
  [[nodiscard]] bool empty() const noexcept { return sysctls.empty() && !changes_link(); }

  /// Reads and checks everything. Throws Error{kInvalidConfig}, kInvalidEnvironment for CNI_ARGS.
  [[nodiscard]] static Config parse(const Request& request);
  /// "dataDir", or the default where that cannot be used: for DEL and GC.
  [[nodiscard]] static std::string data_dir_leniently(const Request& request) noexcept;
};

/// Where an entry is in the order of writing: those that set all others, those of all links, those
/// of links to come, the rest.
[[nodiscard]] int rank_of(std::string_view entry) noexcept;

}  // namespace cni::tuning
