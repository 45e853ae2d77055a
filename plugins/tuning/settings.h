// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/host.h"
#include "netlink/link.h"
#include "tuning_config.h"

namespace cni::tuning {

/// Values of what a configuration changes, to be put back later.
struct Settings {
  std::optional<Mac> mac;
  std::optional<unsigned> mtu;
  std::optional<bool> promisc, allmulti;
  std::optional<unsigned> tx_queue_len;
  struct Value {
    std::string entry;
    std::string value;
  };
  std::vector<Value> sysctls;

  [[nodiscard]] bool has_link() const noexcept {
    return mac || mtu || promisc || allmulti || tx_queue_len;
  }
  /// Takes over what is only in the other.
  void add_missing(const Settings& other);
};

/// What the configuration is about to change, as it is now. `link` may be nullptr when no attribute
/// of the link is configured. Throws Error{kInvalidConfig} for a sysctl that cannot be set there.
[[nodiscard]] Settings current_settings(Sandbox& sandbox, const Config& conf,
                                        const netlink::Link* link);

/// Writes the configured sysctls that have another value now.
void write_sysctls(Sandbox& sandbox, const Config& conf);
/// Changes the configured attributes of the link, in one send.
void change_link(Sandbox& sandbox, const Config& conf, const netlink::Link& link);

/// Puts values back. Every one is tried; throws what failed, together.
void restore_sysctls(Sandbox& sandbox, const Settings& settings);
void restore_link(Sandbox& sandbox, const Settings& settings, const netlink::Link& link);

/// Throws Error{kMismatch} for the first difference.
void check_settings(Sandbox& sandbox, const Config& conf, const std::string& ifname);

}  // namespace cni::tuning
