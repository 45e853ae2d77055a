// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gob.h"
#include "model/result.h"

/// Calls of the DHCP daemon: Go's net/rpc with gob over HTTP's CONNECT, so that plugin and daemon
/// of the reference can stand on either side. Both sides as bytes in and out; no I/O.
namespace cni::dhcp::rpc {

inline constexpr std::string_view kAllocate = "DHCP.Allocate", kRelease = "DHCP.Release";

/// What both methods are given: the plugin's call.
struct Call {
  std::string container_id, netns, ifname, args, path, netns_override;
  std::string config;             // stdin
  std::uint64_t patience_ms = 0;  // how long the caller waits; 0, and from the reference: not told
  friend bool operator==(const Call&, const Call&) = default;
};

/// The plugin's side: one call.
class ClientSide {
 public:
  /// What is to be sent once is_connected() after kGreeting: the reference's daemon loses what
  /// comes before its answer to that.
  [[nodiscard]] std::string request(std::string_view method, const Call& call);
  void feed(std::string_view bytes);
  /// The greeting was answered: there is a daemon.
  [[nodiscard]] bool is_connected() const noexcept { return connected_; }
  /// The answer, once it is there: of kRelease it is empty. Throws Error with the daemon's text.
  [[nodiscard]] std::optional<Result> answer();

 private:
  bool connected_ = false;
  std::string greeting_;
  std::string method_;
  std::optional<gob::Value> header_;
  gob::Encoder encoder_;
  gob::Decoder decoder_;
};

/// What a caller says first.
inline constexpr std::string_view kGreeting = "CONNECT /_goRPC_ HTTP/1.0\n\n";

/// The daemon's side of one connection.
class ServerSide {
 public:
  struct Request {
    std::string method;
    std::uint64_t sequence = 0;
    Call call;
  };
  /// Throws Error{kDecode} for what is no such call: nothing more can be read then.
  void feed(std::string_view bytes);
  /// The next call that has arrived as a whole.
  [[nodiscard]] std::optional<Request> next();

  void answer(const Request& request, const Result& result);
  void refuse(const Request& request, std::string_view why);
  /// What is to be sent since the last time.
  [[nodiscard]] std::string take_output();
  /// After the output has been sent, nothing more will come of this connection.
  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  void answer_greeting();
  void send_header(const Request& request, std::string_view error);

  bool connected_ = false;
  bool over_ = false;
  std::string greeting_;
  std::string output_;
  std::optional<gob::Value> header_;
  gob::Encoder encoder_;
  gob::Decoder decoder_;
};

}  // namespace cni::dhcp::rpc
