// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <vector>

#include "model/result.h"
#include "protocol/request.h"

namespace cni::sbr {

struct Config {
  std::optional<unsigned> table;    // one that exists: only rules are made
  std::vector<IpAddress> gateways;  // at most one of each family
  bool source_hints = false;

  /// Throws Error{kInvalidConfig}.
  [[nodiscard]] static Config parse(const Request& request);
};

/// An address of the attachment, and the gateway of what it sends.
struct Source {
  IpNet address;
  std::optional<IpAddress> gateway;
};
/// The attachment's addresses. The gateway is the configuration's, else the address's, else that of
/// a route which leads over the address's network, a default route first. Throws
/// Error{kInvalidConfig} when there are no addresses.
[[nodiscard]] std::vector<Source> sources_of(const Config& conf, const Result& previous,
                                             const std::string& ifname);

}  // namespace cni::sbr
