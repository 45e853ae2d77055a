// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "isolation.h"
#include "protocol/request.h"

namespace cni::firewall {

struct Config {
  std::string backend;  // "": the one that suits
  std::string admin_chain = "CNI-ADMIN";
  std::string zone = "trusted";
  std::optional<isolation::Policy> policy;  // nullopt: open

  /// Throws Error{kInvalidConfig}.
  [[nodiscard]] static Config parse(const Request& request);
  /// What is unusable counts as not set: for DEL and GC.
  [[nodiscard]] static Config parse_leniently(const Request& request);
};

}  // namespace cni::firewall
