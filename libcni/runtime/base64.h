// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cni {

/// RFC 4648 section 4, padded: how the reference stores bytes in JSON.
[[nodiscard]] std::string encode_base64(std::string_view data);
/// nullopt for anything but padded base64 without line breaks.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace cni
