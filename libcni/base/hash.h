// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cni {

/// The first `digits` (at most 128) lower-case hex digits of the SHA-512 of data.
[[nodiscard]] std::string sha512_hex(std::string_view data, std::size_t digits);

}  // namespace cni
