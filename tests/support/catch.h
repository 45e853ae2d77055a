// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Catch2 v2 (Debian 12) and v3 (Debian 13, Ubuntu 24.04) behind one include; tests use what both
// have.
#pragma once

#include <string>

#ifdef CNI_CATCH2_V3
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

namespace cni::test {

/// Matches a text with this part.
inline auto contains(const std::string& part) {
#ifdef CNI_CATCH2_V3
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Contains(part);
#endif
}

}  // namespace cni::test
