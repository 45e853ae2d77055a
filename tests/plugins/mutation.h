// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>

#include "plugins/fixture.h"
#include "support/catch.h"

namespace cni::test {

/// A change that CHECK must notice, how it is taken back (if it can be), and what the error must
/// name.
struct Mutation {
  std::string change;
  std::string back;
  std::string named;
  const TestNamespace* net = nullptr;  // where, nullptr: on the host
};

/// CHECK with this previous result fails with code 101, and succeeds when the change is taken back.
inline void require_noticed(const Attachment& attachment, const Json& result,
                            const Mutation& mutation) {
  INFO(mutation.change);
  tool(mutation.change, mutation.net);
  const Output output = attachment.run("CHECK", result);
  CHECK(code_of(output) == 101);
  CHECK_THAT(message_of(output), contains(mutation.named));
  if (mutation.back.empty()) return;
  tool(mutation.back, mutation.net);
  const Output again = attachment.run("CHECK", result);
  INFO("taken back: " << again.text());
  CHECK(again.ok());
}

}  // namespace cni::test
