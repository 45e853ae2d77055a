// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cni::dhcp {

/// The command line of `dhcp daemon`: the reference's, in the form of Go's flags (`-x v`, `-x=v`,
/// `--x`, durations as `1m2s`).
struct DaemonOptions {
  std::string pidfile;
  std::string host_prefix;  // before the socket's path and those of namespaces
  std::string socket_path = "/run/cni/dhcp.sock";
  bool broadcast = false;
  std::chrono::milliseconds first_wait{std::chrono::seconds(4)};
  std::chrono::milliseconds longest_wait{std::chrono::seconds(64)};
  std::chrono::milliseconds patience{std::chrono::seconds(208)};
  bool help = false;

  /// What follows `dhcp daemon`. Throws Error{kInvalidEnvironment}.
  [[nodiscard]] static DaemonOptions parse(std::span<const char* const> arguments);
};

[[nodiscard]] std::string_view daemon_usage() noexcept;
/// nullopt for what is no duration, or negative.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace cni::dhcp
