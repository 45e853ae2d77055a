// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "support/netns.h"

namespace cni::test {

inline constexpr std::chrono::milliseconds kTrafficPatience{10000};

/// One ICMP echo from this namespace is answered within ten tries a second apart at most.
[[nodiscard]] bool can_ping(const TestNamespace& from, std::string_view address);

/// A packet's way from `client` to a server that listens on `port` of every address of `server`:
/// the client uses `address`, a line goes there and back, and the answer is the client's address as
/// the server saw it (without port). nullopt: nothing came through in time.
struct Path {
  const TestNamespace& client;
  const TestNamespace& server;
  std::string_view address;
  unsigned short port = 8080;
  std::chrono::milliseconds patience = kTrafficPatience;
  unsigned short server_port = 0;  // where the server listens, if not on `port`
  unsigned short client_port = 0;  // where the client sends from, if not from any
};
[[nodiscard]] std::optional<std::string> tcp_peer_seen(const Path& path);
[[nodiscard]] std::optional<std::string> sctp_peer_seen(const Path& path);
[[nodiscard]] bool kernel_has_sctp();
[[nodiscard]] std::optional<std::string> udp_peer_seen(const Path& path);

}  // namespace cni::test
