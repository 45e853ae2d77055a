// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "protocol/target.h"
#include "support/catch.h"
#include "support/host.h"

using cni::test::attachment;
using cni::test::call;
using cni::test::error_of_call;
using cni::test::kTarget;
using cni::test::Output;
using cni::test::require_well_formed;
using cni::test::TestHost;

namespace {

constexpr const char* kCommands[] = {"ADD", "CHECK", "DEL", "GC", "STATUS"};

void require_code(const std::string& input, std::int64_t code) {
  for (const char* command : kCommands) {
    const Output output = call(attachment(command), input);
    CAPTURE(command, input.substr(0, 100));
    REQUIRE(error_of_call(output).code == code);
  }
}

}  // namespace

TEST_CASE("configuration: text that is not JSON is code 6", "[configuration]") {
  const std::string input =
      GENERATE(as<std::string>{}, "", " ", "garbage", "{", "{\"name\": \"net\"", "{} trailing",
               "{\"name\": \"net\"}{\"name\": \"net\"}", "\xef\xbb\xbf{\"name\": \"net\"}",
               "{'name': 'net'}", "{\"name\": \"net\",}", std::string("{\"name\": \"net\"}\0x", 17),
               "{\"name\": \"a\nb\"}");
  require_code(input, 6);
}

TEST_CASE("configuration: what is no object is code 6", "[configuration]") {
  const auto* input = GENERATE("[]", "5", "\"net\"", "true", "[{\"name\": \"net\"}]");
  require_code(input, 6);
}

TEST_CASE("configuration: a missing or bad name is code 7", "[configuration]") {
  const auto* input =
      GENERATE("null", "{}", R"({"name": null})", R"({"name": ""})", R"({"name": "../x"})",
               R"({"name": "a/b"})", R"({"name": ".hidden"})", R"({"name": "a\nb"})",
               R"({"name": "a\u0000b"})", R"({"name": "a b"})", R"({"name": "eth%d"})");
  require_code(input, 7);
}

TEST_CASE("configuration: names and versions of another type are code 6", "[configuration]") {
  const auto* input =
      GENERATE(R"({"name": 5})", R"({"name": ["net"]})", R"({"name": "net", "cniVersion": 1.1})",
               R"({"name": "net", "cniVersion": {}})");
  require_code(input, 6);
}

TEST_CASE("configuration: deep nesting is refused, not followed", "[configuration]") {
  const std::size_t depth =
      GENERATE(std::size_t{1001}, std::size_t{100'000}, std::size_t{5'000'000});
  const char open = GENERATE('[', '{');
  std::string nested;
  for (std::size_t i = 0; i < depth; ++i) nested += open == '[' ? "[" : "{\"a\":";
  const Output output = call(attachment("ADD"), cni::concat(R"({"name": "net", "x": )", nested));
  REQUIRE(error_of_call(output).code == 6);
}

TEST_CASE("configuration: ten megabytes", "[configuration]") {
  const TestHost host;
  const std::string big(10'000'000, 'x');
  REQUIRE(error_of_call(call(attachment("ADD"), big)).code == 6);
  const std::string valid = cni::concat(R"({"cniVersion": "1.1.0", "unknown": ")", big,
                                        R"(", "name": "net", "type": ")", kTarget, "\"}");
  for (const char* command : {"ADD", "DEL"}) {
    require_well_formed(call(attachment(command), valid), command);
  }
  const std::string name = cni::concat(R"({"cniVersion": "1.1.0", "name": ")", big, "\"}");
  require_well_formed(call(attachment("DEL"), name), "DEL");
}

TEST_CASE("configuration: more than a plugin would ever read", "[configuration]") {
  const Output output = call(attachment("ADD"), std::string(70'000'000, ' '));
  REQUIRE(error_of_call(output).code == 7);
}

TEST_CASE("configuration: keys of the protocol with wrong types end well", "[configuration]") {
  const TestHost host;
  const auto* key = GENERATE("type", "ipam", "dns", "args", "runtimeConfig", "prevResult",
                             "logLevel", "logFile", "timeoutSeconds", "cni.dev/valid-attachments");
  for (const char* value : {"5", "\"x\"", "[]", "[null]", "{}", "{\"type\": 5}", "true", "null"}) {
    const std::string input =
        cni::concat(R"({"cniVersion": "1.1.0", "name": "net", ")", key, "\": ", value, "}");
    for (const char* command : kCommands) {
      CAPTURE(input, command);
      require_well_formed(call(attachment(command), input), command);
    }
  }
}

TEST_CASE("configuration: an ipam type cannot leave the plugin directories", "[configuration]") {
  const TestHost host;
  const auto* type = GENERATE("../bin/sh", "/bin/sh", "..", ".", ".hidden", "a\\u0000b");
  const std::string input = cni::concat(R"({"cniVersion": "1.1.0", "name": "net", "type": ")",
                                        kTarget, R"(", "ipam": {"type": ")", type, "\"}}");
  for (const char* command : kCommands) {
    require_well_formed(call(attachment(command), input), command);
  }
}
