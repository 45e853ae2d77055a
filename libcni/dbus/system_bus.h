// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "dbus/message.h"

namespace cni::dbus {

/// An error object that a peer answered with: its D-Bus name and text.
struct Refusal {
  std::string name, text;
};

/// What came back from a call: a refusal, or values.
struct Answer {
  std::optional<Refusal> refusal;
  std::vector<std::string> texts;
  std::optional<bool> flag;
};

/// A connection to the system's message bus, for calls one after the other. No wait lasts longer
/// than the verb's Deadline, or than `patience` for all of the connection's waits together.
class SystemBus {
 public:
  /// DBUS_SYSTEM_BUS_ADDRESS, else unix:path=/run/dbus/system_bus_socket. nullopt when nothing
  /// listens there. Throws Error{kInvalidEnvironment} for an address that is not of a Unix socket,
  /// Error{kTryAgain} when time runs out, KernelError.
  [[nodiscard]] static std::optional<SystemBus> connect(
      std::optional<std::chrono::milliseconds> patience = std::nullopt);

  /// Throws Error{kTryAgain} when no answer comes in time, Error{kKernel} when the bus hangs up.
  Answer call(const Call& call);
  /// Whether somebody owns this name now.
  [[nodiscard]] bool has_owner(const std::string& name);

 private:
  using Clock = std::chrono::steady_clock;
  SystemBus(Fd fd, std::string address, std::optional<Clock::time_point> end)
      : fd_(std::move(fd)), address_(std::move(address)), end_(end) {}
  [[nodiscard]] std::chrono::milliseconds remaining() const;
  void send(std::string_view bytes);
  /// Reads until at least `count` bytes are there.
  void fill(std::size_t count);
  void authenticate();
  std::string read_line();
  Received receive();

  Fd fd_;
  std::string address_;
  std::optional<Clock::time_point> end_;
  std::string buffer_;   // received, not looked at yet
  std::string waiting_;  // for errors: what is being waited for
  std::uint32_t serial_ = 0;
};

}  // namespace cni::dbus
