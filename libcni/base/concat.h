// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace cni {
namespace detail {

inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, const char* text) { out += text; }
inline void append(std::string& out, char c) { out += c; }
template <std::integral T>
requires(!std::same_as<T, char>) void append(std::string& out, T value) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

}  // namespace detail

/// Joins strings, characters and integers (decimal) into one string.
template <typename... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/// The value in double quotes; control characters and non-UTF-8 bytes are shown as \xNN, so that
/// user-supplied text cannot forge log lines.
[[nodiscard]] std::string quote(std::string_view text);

/// The lower-case hexadecimal form of the value, padded with zeros to `digits`.
[[nodiscard]] std::string hex(unsigned long long value, int digits = 1);

}  // namespace cni
