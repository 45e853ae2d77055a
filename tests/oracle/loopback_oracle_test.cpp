// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "oracle/comparison.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

Experiment loopback(std::string_view version) {
  return {
      .plugin = "loopback",
      .config = concat(R"({"cniVersion": ")", version, R"(", "name": "lo", "type": "loopback"})")};
}

}  // namespace

TEST_CASE("loopback oracle: result and state", "[oracle][loopback]") {
  check_same(loopback("1.0.0"));
}

// The reference prints the shape of 1.0.0 for them; ours is that of the version, so only the state
// is compared.
TEST_CASE("loopback oracle: state in older versions", "[oracle][loopback]") {
  const auto* version = GENERATE("0.3.0", "0.3.1", "0.4.0");
  require_reference("loopback");
  const Outcome theirs = observe(loopback(version), reference_bin_dir());
  const Outcome ours = observe(loopback(version), our_bin_dir());
  INFO(concat(theirs.error, ours.error));
  CHECK(ours.added);
  CHECK(difference(theirs.attached, ours.attached) == "");
  CHECK(difference(theirs.detached, ours.detached) == "");
}
