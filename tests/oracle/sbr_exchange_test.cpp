// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Rules made by one suite, and taken away by the other.
#include "plugins/sbr/fixture.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests

namespace {

Output call(const SourceHost& on, std::string_view verb, const std::string& bin_dir) {
  PluginCall call = on.attachment("", "1.0.0").call(verb);
  call.plugin = "sbr";
  call.bin_dir = bin_dir;
  const Output output = run_plugin(call);
  INFO(output.text());
  REQUIRE(output.ok());
  return output;
}

/// Rules and IPv4 routes as both make them: but for what the rules say about their maker.
std::string state(const SourceHost& on) {
  std::string out;
  for (std::string line : on.state().only("route rule").lines) {
    for (const char* const maker :
         {" protocol:\"163\"", " protocol:\"unspec\"", " protocol:\"boot\""}) {
      if (const auto at = line.find(maker); at != line.npos) {
        line.erase(at, std::string_view(maker).size());
      }
    }
    // Deliberate: each table has the routes of its own family, link-local ones stay in main.
    if (line.find("::") == line.npos || line.starts_with("rule")) out += line + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("sbr oracle: rules and routes", "[oracle]") {
  require_reference("sbr");
  std::string states[2];
  std::string results[2];
  for (const bool ours : {false, true}) {
    const SourceHost on;
    results[ours ? 1 : 0] =
        snapshot_of(call(on, "ADD", ours ? our_bin_dir() : reference_bin_dir()).json().root(), "r")
            .text();
    states[ours ? 1 : 0] = state(on);
  }
  CHECK(states[0] == states[1]);
  CHECK(results[0] == results[1]);
}

TEST_CASE("sbr exchange: one suite ADDs, the other DELetes", "[oracle]") {
  require_reference("sbr");
  const bool ours_adds = GENERATE(false, true);
  const std::string& first = ours_adds ? our_bin_dir() : reference_bin_dir();
  const std::string& second = ours_adds ? reference_bin_dir() : our_bin_dir();
  const SourceHost on;
  call(on, "ADD", first);
  CHECK_THAT(on.ip("rule"), contains("from 10.1.2.3 lookup 100"));
  call(on, "DEL", second);
  CHECK(on.ip("rule").find("10.1.2.3") == std::string::npos);
  CHECK(on.ip("-6 rule").find("2001:db8:1::3") == std::string::npos);
}
