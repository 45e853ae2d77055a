// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/hash.h"

#include <sha512.h>
#include <sys/types.h>

namespace cni {

std::string sha512_hex(std::string_view data, std::size_t digits) {
  char text[SHA512_DIGEST_STRING_LENGTH];
  SHA512Data(reinterpret_cast<const unsigned char*>(data.data()), data.size(), text);
  return std::string(text, digits);
}

}  // namespace cni
