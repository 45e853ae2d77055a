// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/skip.h"

#include <unistd.h>

#include <cstdlib>

#include "base/concat.h"
#include "base/fd.h"

namespace cni::test {
namespace {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in cmake/test.cmake

}  // namespace

bool skipping_is_failure() { return std::getenv("CNI_TEST_NO_SKIP") != nullptr; }

void skip(std::string_view reason) {
  write_all(STDOUT_FILENO, concat("skipped: ", reason, "\n"), "stdout");
  ::_exit(skipping_is_failure() ? 1 : kSkipped);
}

}  // namespace cni::test
