// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "base/fd.h"
#include "protocol/target.h"
#include "support/catch.h"
#include "support/host.h"

using cni::test::attachment;
using cni::test::call;
using cni::test::config;
using cni::test::error_of_call;
using cni::test::ErrorObject;
using cni::test::Output;
using cni::test::require_well_formed;
using cni::test::TestHost;
using cni::test::Variables;
using cni::test::with;
using cni::test::without;

TEST_CASE("environment: each missing variable is named", "[environment]") {
  const auto* command = GENERATE("ADD", "CHECK", "DEL");
  for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}) {
    if (command == std::string_view("DEL") && name == std::string_view("CNI_NETNS")) continue;
    CAPTURE(command, name);
    for (const Output& output : {call(without(attachment(command), name), config()),
                                 call(with(attachment(command), name, ""), config())}) {
      const ErrorObject error = error_of_call(output);
      REQUIRE(error.code == 4);
      REQUIRE(error.msg == cni::concat("required env variables [", name, "] missing"));
    }
  }
}

TEST_CASE("environment: all missing variables are named together", "[environment]") {
  const auto msg = [](const char* command) {
    return error_of_call(call({{"CNI_COMMAND", command}}, config())).msg;
  };
  REQUIRE(msg("ADD") == "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing");
  REQUIRE(msg("DEL") == "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing");
}

TEST_CASE("environment: missing variables are reported before bad input", "[environment]") {
  REQUIRE(error_of_call(call({{"CNI_COMMAND", "ADD"}}, "garbage")).code == 4);
}

TEST_CASE("environment: unknown commands", "[environment]") {
  const auto* command = GENERATE("FOO", "add", "ADD ", "ADD\n", "VERSION2", "%s", "../ADD");
  const ErrorObject error = error_of_call(call(attachment(command), config()));
  REQUIRE(error.code == 4);
  REQUIRE(error.msg == cni::concat("unknown CNI_COMMAND: ", command));
  REQUIRE(error_of_call(call({{"CNI_COMMAND", command}}, config())).code == 4);
  REQUIRE(error_of_call(call(attachment(command), "garbage")).code == 6);
  REQUIRE(error_of_call(call(attachment(command), "{}")).code == 7);
}

TEST_CASE("environment: hostile container ids", "[environment]") {
  const std::string id = GENERATE(as<std::string>{}, "../x", "..", ".x", "a/b", "/etc/passwd",
                                  "a b", "a\n", "-x", "a%d$(id)", "\xc3\xa4", "\xff", "a;b", "a:b");
  for (const char* command : {"ADD", "CHECK", "DEL"}) {
    const ErrorObject error =
        error_of_call(call(with(attachment(command), "CNI_CONTAINERID", id), config()));
    REQUIRE(error.code == 4);
    REQUIRE(error.msg == "invalid characters in containerID");
  }
}

TEST_CASE("environment: hostile interface names", "[environment]") {
  const std::string name =
      GENERATE(as<std::string>{}, "../x", "..", ".", "a/b", "a:1", "a b", "a\tb", "eth0\n", "eth%d",
               "sixteen-bytes-xx", "\xc2\xa0", std::string(100'000, 'x'));
  for (const char* command : {"ADD", "CHECK", "DEL"}) {
    const ErrorObject error =
        error_of_call(call(with(attachment(command), "CNI_IFNAME", name), config()));
    REQUIRE(error.code == 4);
    REQUIRE(error.msg.starts_with("interface name "));
  }
}

TEST_CASE("environment: a very long container id", "[environment]") {
  const TestHost host;
  for (const char* command : {"ADD", "DEL"}) {
    const Variables variables =
        with(attachment(command), "CNI_CONTAINERID", std::string(100'000, 'x'));
    require_well_formed(call(variables, config()), command);
  }
}

TEST_CASE("environment: namespaces that are none", "[environment]") {
  const TestHost host;
  const auto* netns = GENERATE("/run/netns/missing", "relative", "/", "/dev/null", "/proc/1/ns/mnt",
                               "/etc/passwd/x", "\n");
  for (const char* command : {"ADD", "CHECK", "DEL"}) {
    CAPTURE(command, netns);
    require_well_formed(call(with(attachment(command), "CNI_NETNS", netns), config()), command);
  }
}

TEST_CASE("environment: DEL without a namespace is no error of the environment", "[environment]") {
  const TestHost host;
  for (const Variables& variables :
       {without(attachment("DEL"), "CNI_NETNS"), with(attachment("DEL"), "CNI_NETNS", "")}) {
    const Output output = call(variables, config());
    require_well_formed(output, "DEL");
    if (!output.ok()) REQUIRE(error_of_call(output).code != 4);
  }
}

TEST_CASE("environment: an empty PATH and an empty CNI_PATH", "[environment]") {
  const TestHost host;
  for (const char* command : {"ADD", "DEL", "STATUS"}) {
    const Variables variables = with(with(attachment(command), "PATH", ""), "CNI_PATH", "");
    require_well_formed(call(variables, config()), command);
  }
}

TEST_CASE("environment: secrets of CNI_ARGS are never shown", "[environment]") {
  const TestHost host;
  const auto* args = GENERATE("PASSWORD=hunter2", "PASSWORD=hunter2;", "PASSWORD=a=hunter2",
                              "IgnoreUnknown=1;PASSWORD=hunter2");
  const std::string log = "/run/plugin.log";
  Variables variables = with(attachment("ADD"), "CNI_ARGS", args);
  variables = with(with(variables, "CNI_LOG_LEVEL", "debug"), "CNI_LOG_FILE", log);
  const Output output = call(variables, config());
  REQUIRE((output.out + output.err).find("hunter2") == std::string::npos);
  const std::string text = cni::read_file(log);
  REQUIRE(text.find("hunter2") == std::string::npos);
  REQUIRE(text.find("verb=ADD network=net container=c1 ifname=eth0") != std::string::npos);
}
