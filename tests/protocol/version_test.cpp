// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/version.h"

#include "base/concat.h"
#include "protocol/target.h"
#include "support/catch.h"
#include "support/host.h"

using cni::test::attachment;
using cni::test::call;
using cni::test::config;
using cni::test::error_of_call;
using cni::test::ErrorObject;
using cni::test::kTarget;
using cni::test::Output;
using cni::test::require_well_formed;
using cni::test::TestHost;
using cni::test::Variables;

namespace {

constexpr const char* kAnswer =
    R"({"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0",)"
    "\"1.0.0\",\"1.1.0\"]}\n";

}  // namespace

TEST_CASE("VERSION: one line, whatever stands on stdin", "[version]") {
  const std::string input = GENERATE(as<std::string>{}, "", R"({"cniVersion":"1.0.0"})", "garbage",
                                     std::string(9, '\0'), std::string(10'000'000, 'x'));
  const Output output = call({{"CNI_COMMAND", "VERSION"}}, input);
  INFO(output.err);
  REQUIRE(output.ok());
  REQUIRE(output.out == kAnswer);
  REQUIRE(output.err.empty());
}

TEST_CASE("VERSION: the other variables do not matter", "[version]") {
  const Output dummy = call({{"CNI_COMMAND", "VERSION"},
                             {"CNI_IFNAME", "dummy"},
                             {"CNI_NETNS", "dummy"},
                             {"CNI_PATH", "dummy"}},
                            R"({"cniVersion":"1.0.0"})");
  REQUIRE(dummy.out == kAnswer);
  const Output hostile = call({{"CNI_COMMAND", "VERSION"},
                               {"CNI_CONTAINERID", "../../x"},
                               {"CNI_IFNAME", "a/b:c and more than fifteen bytes"},
                               {"CNI_ARGS", ";;="},
                               {"CNI_TIMEOUT_SECONDS", "-1"},
                               {"CNI_LOG_LEVEL", "loud"}},
                              "");
  REQUIRE(hostile.out == kAnswer);
}

TEST_CASE("by hand: two lines on stderr, nothing on stdout, success", "[version]") {
  const bool empty = GENERATE(true, false);
  const Output output = call(empty ? Variables{{"CNI_COMMAND", ""}} : Variables{}, "garbage");
  REQUIRE(output.ok());
  REQUIRE(output.out.empty());
  REQUIRE(output.err.starts_with(cni::concat("CNI ", kTarget, " plugin ")));
  REQUIRE(output.err.ends_with(
      "\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"));
}

TEST_CASE("versions: every supported one is accepted, errors answer in it", "[version]") {
  const TestHost host;
  const auto version =
      GENERATE(from_range(cni::kSupportedVersions.begin(), cni::kSupportedVersions.end()));
  const auto* command = GENERATE("ADD", "DEL");
  const Output output = call(attachment(command), config(version));
  require_well_formed(output, command);
  if (output.ok()) return;
  REQUIRE(error_of_call(output).code != 1);
  REQUIRE(error_of_call(output).version == version);
}

TEST_CASE("versions: only the exact text is supported", "[version]") {
  const auto* version = GENERATE("1.1", "1.2.0", "2.0.0", "0.0.1", "v1.0.0", "1.0.0 ", "abc");
  const auto* command = GENERATE("ADD", "DEL");
  const ErrorObject error = error_of_call(call(attachment(command), config(version)));
  REQUIRE(error.code == 1);
  REQUIRE(error.msg == "incompatible CNI versions");
  REQUIRE(error.details.find(version) != std::string::npos);
}

TEST_CASE("versions: no version is 0.1.0", "[version]") {
  const auto* input = GENERATE(R"({"name": "net"})", R"({"name": "net", "cniVersion": ""})",
                               R"({"name": "net", "cniVersion": null})");
  const ErrorObject error = error_of_call(call(attachment("CHECK"), input));
  REQUIRE(error.code == 1);
  REQUIRE(error.msg == "config version does not allow CHECK");
}

TEST_CASE("versions: CHECK, GC and STATUS exist from their version on", "[version]") {
  const TestHost host;
  const auto* command = GENERATE("CHECK", "GC", "STATUS");
  const std::string_view first = command == std::string_view("CHECK") ? "0.4.0" : "1.1.0";
  for (const std::string_view version : cni::kSupportedVersions) {
    CAPTURE(command, version);
    const Output output = call(attachment(command), config(version));
    if (version < first) {
      REQUIRE(error_of_call(output).code == 1);
      REQUIRE(error_of_call(output).msg == cni::concat("config version does not allow ", command));
    } else {
      require_well_formed(output, command);
      if (!output.ok()) REQUIRE(error_of_call(output).code != 1);
    }
  }
  const ErrorObject newer = error_of_call(call(attachment(command), config("1.2.0")));
  REQUIRE(newer.code == 1);
  REQUIRE(newer.msg == cni::concat("plugin version does not allow ", command));
  REQUIRE(error_of_call(call(attachment(command), config("1.x"))).code == 6);
}
