// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "base/error.h"
#include "support/catch.h"

namespace cni::test {

/// The cni::Error that the call throws; the test fails when it throws none.
template <typename Call>
cni::Error error_of(Call&& call) {
  try {
    call();
  } catch (const cni::Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {cni::ErrorCode::kInternal, ""};
}

}  // namespace cni::test
