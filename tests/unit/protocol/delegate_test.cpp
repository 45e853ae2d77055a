// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/delegate.h"

#include <unistd.h>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::Command;
using cni::concat;
using cni::Delegate;
using cni::Error;
using cni::ErrorCode;
using cni::Request;

namespace {

/// A request of a network whose IPAM plugin is the script "fake" in `dir`.
Request request(const cni::test::TempDir& dir, const char* ipam = R"({"type": "fake"})") {
  Request out;
  out.path = dir.path();
  out.environment.set("CNI_COMMAND", "ADD");
  out.environment.set("CNI_CONTAINERID", "c1");
  out.environment.set("PATH", "/usr/bin:/bin");
  out.command = Command::kAdd;
  cni::parse_input(out, concat(R"({"name": "n", "cniVersion": "1.0.0", "ipam": )", ipam, "}"));
  return out;
}

constexpr const char* kResult =
    R"(echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]}')";

Delegate start(const Request& request, Command command) {
  return Delegate::start(cni::find_plugin("fake", request.path), request, "fake", command);
}

Error add_error(const cni::test::TempDir& dir) {
  const Request r = request(dir);
  return cni::test::error_of([&] { (void)start(r, Command::kAdd).wait_result(); });
}

}  // namespace

TEST_CASE("delegate: the first regular file of the path", "[delegate]") {
  const cni::test::TempDir dir;
  dir.write("a/x/file", "");  // "x" is a directory here
  dir.write("b/x", "");
  dir.write("c/x", "");
  const std::string path =
      concat(dir.path("none"), ":", dir.path("a"), ":", dir.path("b"), ":", dir.path("c"));
  REQUIRE(cni::find_plugin("x", path) == dir.path("b/x"));
  REQUIRE(::chdir(dir.path("c").c_str()) == 0);
  REQUIRE(cni::find_plugin("x", ":/none") == "x");
  REQUIRE(::chdir("/") == 0);
}

TEST_CASE("delegate: what cannot be found", "[delegate]") {
  const auto code = [](std::string_view type, std::string_view path) {
    return cni::test::error_of([&] { (void)cni::find_plugin(type, path); }).code();
  };
  REQUIRE(code("x", "/none") == ErrorCode::kDelegate);
  REQUIRE(code("x", "") == ErrorCode::kInvalidEnvironment);
  REQUIRE(code("", "/bin") == ErrorCode::kInvalidConfig);
  REQUIRE(code("../bin/sh", "/bin") == ErrorCode::kInvalidConfig);
  REQUIRE(code("..", "/bin") == ErrorCode::kInvalidConfig);
}

TEST_CASE("delegate: same stdin, same environment but the command", "[delegate]") {
  const cni::test::TempDir dir;
  dir.script("fake", concat("cat > ", dir.path("stdin"), "; env > ", dir.path("env")));
  const Request r = request(dir);
  start(r, Command::kStatus).wait();
  REQUIRE(cni::read_file(dir.path("stdin")) == r.input);
  const std::string env = cni::read_file(dir.path("env"));
  REQUIRE(env.find("CNI_COMMAND=STATUS\n") != std::string::npos);
  REQUIRE(env.find("CNI_COMMAND=ADD\n") == std::string::npos);
  REQUIRE(env.find("CNI_CONTAINERID=c1\n") != std::string::npos);
}

TEST_CASE("delegate: its result, and its stderr is ours", "[delegate]") {
  const cni::test::TempDir dir;
  dir.script("fake", concat("echo words >&2\n", kResult));
  const cni::test::CaptureStderr captured;
  const Request r = request(dir);
  REQUIRE(start(r, Command::kAdd).wait_result().ips.size() == 1);
  REQUIRE(captured.text() == "words\n");
}

TEST_CASE("delegate: a result without version is taken in the configuration's", "[delegate]") {
  const cni::test::TempDir dir;
  dir.script("fake", R"(echo '{"ips": [{"address": "10.0.0.2/24"}], "ip4": 5}')");
  const Request r = request(dir);
  REQUIRE(start(r, Command::kAdd).wait_result().ips.size() == 1);
}

TEST_CASE("delegate: its error object becomes ours", "[delegate]") {
  const cni::test::TempDir dir;
  dir.script("fake", R"(echo '{"code": 11, "msg": "busy", "details": "by x"}'; exit 1)");
  const Error error = add_error(dir);
  REQUIRE(error.code() == ErrorCode::kTryAgain);
  REQUIRE(error.msg() == "busy");
  REQUIRE(error.details() == "by x");
}

TEST_CASE("delegate: outputs that are no answer", "[delegate]") {
  const auto entry = GENERATE(values<std::pair<const char*, const char*>>({
      {"exit 3", "failed with no error message; exit status 3"},
      {"kill -9 $$", "failed with no error message; killed by signal 9"},
      {"echo garbage; exit 1", "failed (exit status 1) and its output is no CNI error"},
      {"echo '[]'; exit 1", "failed (exit status 1) and its output is no CNI error"},
      {"echo '{\"code\": \"x\"}'; exit 1", "failed (exit status 1) and its output is no CNI error"},
      {"echo garbage", "succeeded but its output is no CNI result"},
      {"true", "succeeded but its output is no CNI result"},
      {"echo '[]'", "succeeded but its output is no CNI result"},
      {"echo '{}{}'", "succeeded but its output is no CNI result"},
      {"echo '{\"cniVersion\": \"9.9.9\"}'", "succeeded but its output is no CNI result"},
      {"echo '{\"ips\": [{\"address\": \"x\"}]}'", "succeeded but its output is no CNI result"},
  }));
  CAPTURE(entry.first);
  const cni::test::TempDir dir;
  dir.script("fake", entry.first);
  const Error error = add_error(dir);
  REQUIRE(error.code() == ErrorCode::kDelegate);
  REQUIRE(std::string(error.what()).find(concat("plugin \"fake\" ", entry.second)) == 0);
}

TEST_CASE("delegate: long garbage is cut in the message", "[delegate]") {
  const cni::test::TempDir dir;
  dir.script("fake", "head -c 1000000 /dev/zero; exit 1");
  REQUIRE(std::string(add_error(dir).what()).size() < 10'000);
}

TEST_CASE("delegate: one that hangs is killed at the deadline", "[delegate][deadline]") {
  const cni::test::TempDir dir;
  dir.script("fake", "exec sleep 60");
  cni::Deadline::start(std::chrono::milliseconds(50));
  REQUIRE(add_error(dir).code() == ErrorCode::kTryAgain);
}

TEST_CASE("delegate: a file that is no program", "[delegate]") {
  const cni::test::TempDir dir;
  dir.write("fake", "data", 0644);
  const Error error = add_error(dir);
  REQUIRE(error.code() == ErrorCode::kDelegate);
  REQUIRE(error.msg() == concat("execute \"", dir.path("fake"), "\""));
}

TEST_CASE("ipam: a layer-2 network calls nobody", "[ipam]") {
  const cni::test::TempDir dir;
  const auto* ipam = GENERATE("{}", "null", R"({"type": ""})");
  const Request r = request(dir, ipam);
  cni::Rollback rollback;
  REQUIRE_FALSE(cni::ipam::start_add(r, rollback));
  REQUIRE_NOTHROW(cni::ipam::check(r));
  REQUIRE_NOTHROW(cni::ipam::del(r));
  REQUIRE_NOTHROW(cni::ipam::gc(r, cni::OwnerSet("n", {})));
  REQUIRE_NOTHROW(cni::ipam::status(r));
}

TEST_CASE("ipam: whatever goes wrong after ADD began, a DEL follows", "[ipam]") {
  const cni::test::TempDir dir;
  const cni::test::CaptureStderr quiet;
  const auto* answer = GENERATE("exit 1", "echo garbage", "echo '{}'", "kill -9 $$");
  dir.script("fake", concat("echo $CNI_COMMAND >> ", dir.path("calls"),
                            "; test $CNI_COMMAND = DEL || { ", answer, "; }"));
  const Request r = request(dir);
  REQUIRE_THROWS_AS(
      [&] {
        cni::Rollback rollback;
        auto delegate = cni::ipam::start_add(r, rollback);
        (void)cni::ipam::finish_add(*delegate);
      }(),
      Error);
  REQUIRE(cni::read_file(dir.path("calls")) == "ADD\nDEL\n");
}

TEST_CASE("ipam: an ADD that is not waited for is killed, then deleted", "[ipam]") {
  const cni::test::TempDir dir;
  const cni::test::CaptureStderr quiet;
  dir.script("fake", concat("test $CNI_COMMAND = DEL && echo DEL >> ", dir.path("calls"),
                            " || exec sleep 60"));
  const Request r = request(dir);
  {
    cni::Rollback rollback;
    const auto delegate = cni::ipam::start_add(r, rollback);
  }
  REQUIRE(cni::read_file(dir.path("calls")) == "DEL\n");
}

TEST_CASE("ipam: no DEL after success", "[ipam]") {
  const cni::test::TempDir dir;
  dir.script("fake", concat("echo $CNI_COMMAND >> ", dir.path("calls"), "\n", kResult));
  const Request r = request(dir);
  {
    cni::Rollback rollback;
    auto delegate = cni::ipam::start_add(r, rollback);
    REQUIRE(cni::ipam::finish_add(*delegate).ips.size() == 1);
    rollback.commit();
  }
  REQUIRE(cni::read_file(dir.path("calls")) == "ADD\n");
}
