// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Catch2 v2 (Debian 12) and v3 (Debian 13, Ubuntu 24.04) behind one include; tests use what both
// have.
#pragma once

#ifdef CNI_CATCH2_V3
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
