// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>

namespace cni::tuning {

/// The POSIX extended regular expression (as glibc reads it) that means what `re2` means in the
/// syntax of the reference, RE2. Throws Error{kInvalidConfig} for what is malformed and for what
/// POSIX cannot say: flags, \Q, \p, \x, octal numbers.
/// docs/decisions/0014-allow-list-expressions.md
[[nodiscard]] std::string posix_expression(std::string_view re2);

}  // namespace cni::tuning
