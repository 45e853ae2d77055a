// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/request.h"

#include "base/error.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::Command;
using cni::Environment;
using cni::Error;
using cni::ErrorCode;
using cni::parse_environment;
using cni::Request;

namespace {

Environment full(std::string_view command) {
  Environment out;
  out.set("CNI_COMMAND", command);
  out.set("CNI_CONTAINERID", "c1");
  out.set("CNI_NETNS", "/run/netns/c1");
  out.set("CNI_IFNAME", "eth0");
  out.set("CNI_ARGS", "IP=10.0.0.2");
  out.set("CNI_PATH", "/opt/cni/bin");
  return out;
}

Error input_error(Command command, std::string input) {
  Request request;
  request.command = command;
  return cni::test::error_of([&] { cni::parse_input(request, std::move(input)); });
}

}  // namespace

TEST_CASE("environment: reads and replaces", "[request]") {
  Environment environment({"A=1", "AB=2", "C=", "A=3"});
  REQUIRE(environment.get("A") == "1");
  REQUIRE(environment.get("AB") == "2");
  REQUIRE(environment.get("C").empty());
  REQUIRE(environment.get("D").empty());
  environment.set("A", "x=y");
  REQUIRE(environment.get("A") == "x=y");
  REQUIRE(environment.entries() == std::vector<std::string>{"AB=2", "C=", "A=x=y"});
}

TEST_CASE("environment table: every value arrives", "[request]") {
  Environment environment = full("ADD");
  environment.set("CNI_NETNS_OVERRIDE", "TRUE");
  const Request request = parse_environment(environment).request;
  REQUIRE(request.command == Command::kAdd);
  REQUIRE(request.container_id == "c1");
  REQUIRE(request.netns == "/run/netns/c1");
  REQUIRE(request.ifname == "eth0");
  REQUIRE(request.args == "IP=10.0.0.2");
  REQUIRE(request.path == "/opt/cni/bin");
  REQUIRE(request.netns_override);
  REQUIRE(request.environment.entries().size() == environment.entries().size());
}

TEST_CASE("environment table: all missing names at once, in the table's order", "[request]") {
  const auto missing = [](std::string_view command) {
    Environment environment;
    environment.set("CNI_COMMAND", command);
    const Error error = cni::test::error_of([&] { (void)parse_environment(environment); });
    REQUIRE(error.code() == ErrorCode::kInvalidEnvironment);
    return error.msg();
  };
  REQUIRE(missing("ADD") ==
          "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing");
  REQUIRE(missing("CHECK") ==
          "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing");
  REQUIRE(missing("DEL") == "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing");
}

TEST_CASE("environment table: other verbs need nothing, bad values do not matter", "[request]") {
  const auto* command = GENERATE("GC", "STATUS", "VERSION");
  Environment environment;
  environment.set("CNI_COMMAND", command);
  REQUIRE(parse_environment(environment).command);
  environment.set("CNI_CONTAINERID", "../x");
  environment.set("CNI_IFNAME", "a/b");
  REQUIRE(parse_environment(environment).command);
}

TEST_CASE("environment table: an empty CNI_PATH is allowed", "[request]") {
  Environment environment = full("ADD");
  environment.set("CNI_PATH", "");
  REQUIRE(parse_environment(environment).request.path.empty());
}

TEST_CASE("environment table: a bad value is reported before the missing ones", "[request]") {
  Environment environment;
  environment.set("CNI_COMMAND", "ADD");
  environment.set("CNI_CONTAINERID", "../x");
  Error error = cni::test::error_of([&] { (void)parse_environment(environment); });
  REQUIRE(error.code() == ErrorCode::kInvalidEnvironment);
  REQUIRE(error.msg() == "invalid characters in containerID");
  environment.set("CNI_CONTAINERID", "c1");
  environment.set("CNI_IFNAME", "sixteen-bytes-xx");
  error = cni::test::error_of([&] { (void)parse_environment(environment); });
  REQUIRE(error.msg() == "interface name is too long");
}

TEST_CASE("environment table: an unknown command is left to the caller", "[request]") {
  const auto* command = GENERATE("add", "ADD ", "FOO", "Version");
  const auto parsed = parse_environment(full(command));
  REQUIRE_FALSE(parsed.command);
  REQUIRE(parsed.command_text == command);
}

TEST_CASE("commands: names", "[request]") {
  REQUIRE(cni::text(Command::kAdd) == "ADD");
  REQUIRE(cni::text(Command::kGc) == "GC");
  REQUIRE(cni::text(Command::kStatus) == "STATUS");
}

TEST_CASE("input: name, version and type", "[request]") {
  Request request;
  request.command = Command::kAdd;
  cni::parse_input(request, R"({"CNIVersion": "1.0.0", "Name": "n", "type": "bridge"})");
  REQUIRE(request.conf.version == cni::SpecVersion::k100);
  REQUIRE(request.conf.name == "n");
  REQUIRE(request.conf.type == "bridge");
  REQUIRE(request.input.front() == '{');
  cni::parse_input(request, R"({"name": "n"})");
  REQUIRE(request.conf.version == cni::SpecVersion::k010);
}

TEST_CASE("input: what is no configuration", "[request]") {
  const auto entry = GENERATE(values<std::pair<const char*, ErrorCode>>({
      {"", ErrorCode::kDecode},
      {"x", ErrorCode::kDecode},
      {"[]", ErrorCode::kDecode},
      {"5", ErrorCode::kDecode},
      {"\"x\"", ErrorCode::kDecode},
      {"null", ErrorCode::kInvalidConfig},
      {"{}", ErrorCode::kInvalidConfig},
      {R"({"name": ""})", ErrorCode::kInvalidConfig},
      {R"({"name": "../x"})", ErrorCode::kInvalidConfig},
      {R"({"name": "a\u0000b"})", ErrorCode::kInvalidConfig},
      {R"({"name": 5})", ErrorCode::kDecode},
      {R"({"name": "n", "cniVersion": 1})", ErrorCode::kDecode},
      {R"({"name": "n", "cniVersion": "1.1"})", ErrorCode::kIncompatibleVersion},
      {R"({"name": "n", "cniVersion": "9.9.9"})", ErrorCode::kIncompatibleVersion},
      {R"({"name": "n", "type": 5})", ErrorCode::kInvalidConfig},
  }));
  CAPTURE(entry.first);
  REQUIRE(input_error(Command::kAdd, entry.first).code() == entry.second);
}

TEST_CASE("input: CHECK, GC and STATUS have a first version", "[request]") {
  const auto config = [](std::string_view version) {
    return R"({"name": "n", "cniVersion": ")" + std::string(version) + "\"}";
  };
  for (const std::string_view version : cni::kSupportedVersions) {
    for (const Command command :
         {Command::kAdd, Command::kDel, Command::kCheck, Command::kGc, Command::kStatus}) {
      const bool allowed = command == Command::kCheck ? version >= "0.4.0"
                           : command == Command::kGc || command == Command::kStatus
                               ? version >= "1.1.0"
                               : true;
      Request request;
      request.command = command;
      if (allowed) {
        REQUIRE_NOTHROW(cni::parse_input(request, config(version)));
        continue;
      }
      const Error error = input_error(command, config(version));
      REQUIRE(error.code() == ErrorCode::kIncompatibleVersion);
      REQUIRE(error.msg() == "config version does not allow " + std::string(cni::text(command)));
    }
  }
  REQUIRE(input_error(Command::kGc, config("1.2.0")).msg() == "plugin version does not allow GC");
  REQUIRE(input_error(Command::kCheck, config("x")).code() == ErrorCode::kDecode);
}
