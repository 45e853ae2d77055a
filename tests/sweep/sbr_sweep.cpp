// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// sbr killed, or refused, at any of its system calls: a failed ADD leaves the container as it was,
// and after a death one DEL does.
#include "plugins/sbr/fixture.h"
#include "sweep/sweep.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 5;

struct Swept {
  SourceHost on;
  Attachment attachment = on.attachment();

  [[nodiscard]] Attachment caller(const std::string& verb) const {
    return verb == "GC" ? attachment.collecting({}) : attachment;
  }
  [[nodiscard]] Victim victim(const std::string& verb) const {
    return {on.host, caller(verb), verb};
  }
  [[nodiscard]] std::string clean_up(const std::string& verb) const {
    const std::string problem = failure(verb, caller(verb).run(verb));
    return problem + on.leftovers();
  }
};

}  // namespace

TEST_CASE("sbr sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output&) { return swept.clean_up("DEL"); }};
  kill_at_calls(swept.victim("ADD"), around, kSampled);
}

TEST_CASE("sbr sweep: DEL or GC killed at any system call, then the same once more", "[sweep]") {
  const std::string verb = GENERATE("DEL", "GC");
  const Swept swept;
  const Around around{.prepare = [&] { swept.attachment.add(); },
                      .clean_up = [&](const Output&) { return swept.clean_up(verb); }};
  kill_at_calls(swept.victim(verb), around, kSampled);
}

TEST_CASE("sbr sweep: ADD with any failing system call leaves everything as it was", "[sweep]") {
  const Swept swept;
  const Around around{.clean_up = [&](const Output& output) {
    // A process that cannot leave the container's namespace ends at once, without undoing.
    return output.ok() || output.status.signal != 0 ? swept.clean_up("DEL") : swept.on.leftovers();
  }};
  int failed = 0;
  for (const char* const call : {"openat", "linkat", "setns", "sendmsg", "socket"}) {
    failed += fail_calls(swept.victim("ADD"), around, {call, "EIO"}, 3);
  }
  CHECK(failed > 8);
}
