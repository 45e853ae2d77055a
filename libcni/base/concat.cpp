// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"

namespace cni {

std::string hex(unsigned long long value, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  while (value != 0 || digits > 0) {
    out.insert(out.begin(), kDigits[value & 0xf]);
    value >>= 4;
    --digits;
  }
  return out;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += hex(byte, 2);
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

}  // namespace cni
