// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Messages of D-Bus (specification 0.41, "Type System" and "Message Protocol"), as far as calls
/// with texts and answers that begin with texts or a truth value need them.
namespace cni::dbus {

/// A method call; the arguments are texts.
struct Call {
  std::string destination, path, interface, member;
  std::vector<std::string> arguments = {};
};

/// The bytes of the call, little-endian. It starts no service.
[[nodiscard]] std::string encode(const Call& call, std::uint32_t serial);

/// A message from the bus.
struct Received {
  enum Type : unsigned char { kMethodCall = 1, kReturn = 2, kError = 3, kSignal = 4 };
  unsigned char type = 0;
  std::uint32_t reply_serial = 0;  // 0: no answer
  std::string error_name;
  std::vector<std::string> texts;  // the texts with which the body begins
  std::optional<bool> flag;        // the body is one truth value
};

inline constexpr std::size_t kFixedHeaderBytes = 16;
/// How many bytes the message that begins so has. `begin` has kFixedHeaderBytes. Throws
/// Error{kKernel} when it is no message, or one of more than a megabyte.
[[nodiscard]] std::size_t message_bytes(std::string_view begin);
/// Throws Error{kKernel} when the bytes are no message.
[[nodiscard]] Received decode(std::string_view bytes);

}  // namespace cni::dbus
