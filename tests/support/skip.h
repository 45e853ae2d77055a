// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string_view>

namespace cni::test {

/// Ends the process with the status that ctest reports as "Skipped". Catch2 v2 has no skip of its
/// own; every case runs in its own process.
[[noreturn]] void skip(std::string_view reason);

/// CI sets CNI_TEST_NO_SKIP where everything must be able to run: then a skip is a failure.
[[nodiscard]] bool skipping_is_failure();

}  // namespace cni::test
