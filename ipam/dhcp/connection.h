// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "rpc.h"

/// The plugin's way to the daemon. Every wait is bounded by the verb's Deadline.
namespace cni::dhcp {

class [[nodiscard]] Connection {
 public:
  /// Throws Error{kTryAgain} that says how to start a daemon when none listens. No wait of the
  /// connection's is longer than `patience`.
  static Connection open(const std::string& socket_path,
                         std::chrono::milliseconds patience = std::chrono::hours(1));

  /// The only call. Throws Error: the daemon's refusal, or that it went away.
  Result call(std::string_view method, const rpc::Call& call);
  /// Whether what listens is a daemon: throws when it does not answer.
  void greet();

 private:
  Connection(Fd fd, std::string path, std::chrono::milliseconds patience)
      : fd_(std::move(fd)), path_(std::move(path)), patience_(patience) {}
  void send(std::string_view bytes);
  /// What has arrived; throws Error{kTryAgain} at the connection's end.
  [[nodiscard]] std::string receive();
  void wait_for(short events);

  Fd fd_;
  std::string path_;
  std::chrono::milliseconds patience_;
  rpc::ClientSide client_;
};

}  // namespace cni::dhcp
