// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/concat.h"
#include "base/fd.h"
#include "protocol/target.h"
#include "support/catch.h"
#include "support/host.h"
#include "support/skip.h"
#include "support/temp_dir.h"

using cni::test::attachment;
using cni::test::call;
using cni::test::config;
using cni::test::error_of_call;
using cni::test::ErrorObject;
using cni::test::Output;
using cni::test::require_well_formed;
using cni::test::run;
using cni::test::skip;
using cni::test::target_binary;
using cni::test::TempDir;
using cni::test::TestHost;
using cni::test::Variables;
using cni::test::with;

namespace {

/// Calls the plugin through a shell that closes descriptors first.
Output call_closed(const Variables& variables, std::string_view redirections,
                   const std::string& input) {
  std::vector<std::string> env = {"LC_ALL=C"};
  for (const auto& [name, value] : variables) env.push_back(cni::concat(name, "=", value));
  return run({.argv = {"/bin/sh", "-c", cni::concat("exec \"$0\" ", redirections), target_binary()},
              .env = env,
              .input = input});
}

bool is_static(const std::string& binary) {
  const std::string data = cni::read_file(binary);
  Elf64_Ehdr header{};
  REQUIRE(data.size() > sizeof header);
  std::memcpy(&header, data.data(), sizeof header);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    const std::size_t offset = header.e_phoff + i * header.e_phentsize;
    REQUIRE(offset + sizeof segment <= data.size());
    std::memcpy(&segment, data.data() + offset, sizeof segment);
    if (segment.p_type == PT_INTERP) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("closed stdin: an error of input, VERSION does not care", "[robustness]") {
  const Output version = call_closed({{"CNI_COMMAND", "VERSION"}}, "<&-", "");
  REQUIRE(version.ok());
  REQUIRE(version.out.starts_with("{\"cniVersion\""));
  for (const char* command : {"ADD", "DEL", "GC"}) {
    REQUIRE(error_of_call(call_closed(attachment(command), "<&-", "")).code == 5);
  }
}

TEST_CASE("closed stdout: status 1, nothing is written elsewhere", "[robustness]") {
  const TestHost host;
  for (const char* closed : {">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"}) {
    for (const char* command : {"VERSION", "ADD"}) {
      CAPTURE(closed, command);
      const Output output = call_closed(attachment(command), closed, config());
      REQUIRE(output.status.signal == 0);
      REQUIRE(output.status.code == 1);
      REQUIRE(output.out.empty());
    }
  }
}

TEST_CASE("closed stdout: the log file does not get the answer", "[robustness]") {
  const TestHost host;
  Variables variables = with(attachment("ADD"), "CNI_LOG_LEVEL", "debug");
  variables = with(variables, "CNI_LOG_FILE", "/run/plugin.log");
  REQUIRE(call_closed(variables, "<&- >&- 2>&-", "").status.code == 1);
  REQUIRE(call_closed(variables, ">&-", config()).status.code == 1);
  REQUIRE(cni::read_file("/run/plugin.log").find("\"cniVersion\"") == std::string::npos);
}

TEST_CASE("full stdout: status 1", "[robustness]") {
  const Output output = call_closed({{"CNI_COMMAND", "VERSION"}}, ">/dev/full", "");
  REQUIRE(output.status.signal == 0);
  REQUIRE(output.status.code == 1);
}

TEST_CASE("stdin that never ends: code 11 at the deadline", "[robustness]") {
  const TestHost host;
  const TempDir dir;
  REQUIRE(::mkfifo(dir.path("fifo").c_str(), 0600) == 0);
  const Variables limited = with(attachment("DEL"), "CNI_TIMEOUT_SECONDS", "1");
  const ErrorObject error =
      error_of_call(call_closed(limited, cni::concat("<>", dir.path("fifo")), ""));
  CHECK(error.code == 11);
  CHECK(error.msg == "deadline passed: read stdin");
}

TEST_CASE("closed stderr: nothing changes on stdout", "[robustness]") {
  const TestHost host;
  REQUIRE(call_closed({{"CNI_COMMAND", "VERSION"}}, "2>&-", "").ok());
  require_well_formed(call_closed(attachment("ADD"), "2>&-", config()), "ADD");
  require_well_formed(call_closed(attachment("ADD"), "2>/dev/full", config()), "ADD");
}

TEST_CASE("a reader that went away: status 1, no signal", "[robustness]") {
  const Output output =
      run({.argv = {"/bin/bash", "-c", "\"$0\" | true; exit ${PIPESTATUS[0]}", target_binary()},
           .env = {"CNI_COMMAND=VERSION", "PATH=/usr/bin:/bin"}});
  REQUIRE((output.status.code == 0 || output.status.code == 1));
}

TEST_CASE("logging never fails a verb", "[robustness]") {
  const TestHost host;
  const auto* file = GENERATE("/", "/missing/log", "/dev/full", "/proc/version", "");
  for (const char* level : {"debug", "loud", "off"}) {
    const Variables logging =
        with(with(attachment("DEL"), "CNI_LOG_LEVEL", level), "CNI_LOG_FILE", file);
    const Output plain = call(attachment("DEL"), config());
    const Output output = call(logging, config());
    REQUIRE(output.status.code == plain.status.code);
    REQUIRE(output.out == plain.out);
  }
}

TEST_CASE("the time limit must be a number of seconds, but cleaning up goes on", "[robustness]") {
  const TestHost host;
  const auto* seconds = GENERATE("0", "-1", "x", "1s", "99999999999999999999999");
  const auto limited = [&](std::string_view command) {
    return call(with(attachment(command), "CNI_TIMEOUT_SECONDS", seconds), config());
  };
  REQUIRE(error_of_call(limited("ADD")).code == 4);
  REQUIRE(limited("DEL").out == call(attachment("DEL"), config()).out);
}

TEST_CASE("empty root: the binary is all that is needed", "[robustness]") {
  if (!is_static(target_binary())) skip("the binary is dynamic");
  const TestHost host;  // skips where chroot is not permitted
  const TempDir root;
  const std::string name = std::filesystem::path(target_binary()).filename();
  std::filesystem::copy_file(target_binary(), root.path(name));
  const auto call_in_root = [&](const Variables& variables, const std::string& input) {
    std::vector<std::string> env = {"PATH="};
    for (const auto& [key, value] : variables) env.push_back(cni::concat(key, "=", value));
    return run(
        {.argv = {"chroot", root.path(), cni::concat("/", name)}, .env = env, .input = input});
  };
  REQUIRE(call_in_root({{"CNI_COMMAND", "VERSION"}}, "").out.starts_with("{\"cniVersion\""));
  REQUIRE(call_in_root({}, "").err.starts_with("CNI "));
  for (const char* command : {"ADD", "CHECK", "DEL", "GC", "STATUS"}) {
    CAPTURE(command);
    require_well_formed(call_in_root(attachment(command), config()), command);
  }
}
