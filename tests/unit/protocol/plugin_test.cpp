// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/plugin.h"

#include <new>
#include <stdexcept>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using cni::concat;
using cni::Environment;
using cni::Error;
using cni::ErrorCode;
using cni::Json;
using cni::Request;
using cni::Result;

namespace {

std::string called;
void (*on_call)(const Request&) = nullptr;

Result fake_add(const Request& request) {
  called += "add ";
  if (on_call != nullptr) on_call(request);
  Result result;
  result.ips.push_back({std::nullopt, cni::IpNet::parse("10.0.0.2/24"), std::nullopt});
  return result;
}
template <char Letter>
void fake(const Request& request) {
  called += Letter;
  if (on_call != nullptr) on_call(request);
}

void fake_gc(const Request& request, const cni::OwnerSet& valid) {
  called += concat("g", valid.attachments().size());
  if (on_call != nullptr) on_call(request);
}

constexpr cni::Plugin kFake = {"fake", fake_add, fake<'c'>, fake<'d'>, fake_gc, fake<'s'>};

struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
  bool input_read = false;

  [[nodiscard]] std::int64_t code() const {
    return Json::parse(out).root()["code"].int_or(0, 0, 99999);
  }
  [[nodiscard]] std::string field(const char* name) const {
    return Json::parse(out).root()[name].string_or("");
  }
};

Environment environment(std::string_view command) {
  return Environment({"CNI_CONTAINERID=c1", "CNI_NETNS=/run/netns/c1", "CNI_IFNAME=eth0",
                      "CNI_PATH=/opt/cni/bin", "CNI_COMMAND=" + std::string(command)});
}

constexpr const char* kConfig = R"({"name": "n", "cniVersion": "1.1.0", "type": "fake"})";

Outcome run(const Environment& env, const std::string& input = kConfig) {
  const cni::test::CaptureStderr quiet;
  Outcome outcome;
  called.clear();
  outcome.status = cni::run(
      kFake, env,
      [&] {
        outcome.input_read = true;
        return input;
      },
      outcome.out, outcome.err);
  return outcome;
}

Outcome run_failing(void (*failure)(const Request&)) {
  on_call = failure;
  Outcome outcome = run(environment("ADD"));
  on_call = nullptr;
  return outcome;
}

}  // namespace

TEST_CASE("run: each verb calls its function, only ADD prints", "[plugin]") {
  const auto pair = GENERATE(values<std::pair<const char*, const char*>>(
      {{"ADD", "add "}, {"CHECK", "c"}, {"DEL", "d"}, {"STATUS", "s"}}));
  const Outcome outcome = run(environment(pair.first));
  REQUIRE(outcome.status == 0);
  REQUIRE(called == pair.second);
  REQUIRE(outcome.out.empty() == (pair.first != std::string_view("ADD")));
  REQUIRE(outcome.err.empty());
}

TEST_CASE("run: the result is in the configuration's version, with four blanks", "[plugin]") {
  const Outcome outcome =
      run(environment("ADD"), R"({"name": "n", "cniVersion": "0.2.0", "type": "fake"})");
  REQUIRE(outcome.out ==
          "{\n    \"cniVersion\": \"0.2.0\",\n    \"dns\": {},\n    \"ip4\": {\n"
          "        \"ip\": \"10.0.0.2/24\"\n    }\n}");
}

TEST_CASE("run: a result that the plugin did not change passes on as it was given", "[plugin]") {
  const auto conf = [](std::string_view address, std::string_view version) {
    return concat(R"({"name":"n","cniVersion":"1.1.0","type":"fake","prevResult":{"cniVersion":")",
                  version, R"(","ips":[{"address":")", address,
                  R"("}],"routes":[],"vendor":{"rack":7}}})");
  };
  const Outcome same = run(environment("ADD"), conf("10.0.0.2/24", "1.1.0"));
  CHECK(Json::parse(same.out).root().text() ==
        R"({"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}],"routes":[],)"
        R"("vendor":{"rack":7}})");
  const Outcome changed = run(environment("ADD"), conf("10.0.0.3/24", "1.1.0"));
  CHECK_FALSE(Json::parse(changed.out).root()["vendor"].present());
  const Outcome older = run(environment("ADD"), conf("10.0.0.2/24", "1.0.0"));
  CHECK(Json::parse(older.out).root()["cniVersion"].string() == "1.1.0");
  CHECK_FALSE(Json::parse(older.out).root()["vendor"].present());
}

TEST_CASE("run: VERSION reads no input and looks at no other variable", "[plugin]") {
  Environment dummy = environment("VERSION");
  dummy.set("CNI_IFNAME", "dummy/:..");
  dummy.set("CNI_CONTAINERID", "../x");
  dummy.set("CNI_TIMEOUT_SECONDS", "x");
  const Outcome outcome = run(dummy);
  REQUIRE(outcome.status == 0);
  REQUIRE_FALSE(outcome.input_read);
  REQUIRE(outcome.out ==
          R"({"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0",)"
          "\"1.0.0\",\"1.1.0\"]}\n");
}

TEST_CASE("run: by hand it says what it is, on stderr", "[plugin]") {
  const Outcome outcome = run(Environment());
  REQUIRE(outcome.status == 0);
  REQUIRE(outcome.out.empty());
  REQUIRE_FALSE(outcome.input_read);
  REQUIRE(outcome.err.starts_with("CNI fake plugin cnipp "));
  REQUIRE(outcome.err.ends_with(
      "\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"));
}

TEST_CASE("run: an unknown command is reported after the configuration's errors", "[plugin]") {
  REQUIRE(run(environment("FOO")).field("msg") == "unknown CNI_COMMAND: FOO");
  REQUIRE(run(environment("FOO")).code() == 4);
  REQUIRE(run(environment("FOO"), "x").code() == 6);
  REQUIRE(run(environment("FOO"), "{}").code() == 7);
  REQUIRE(called.empty());
}

TEST_CASE("run: an error is one object in the configuration's version, status 1", "[plugin]") {
  on_call = [](const Request&) { throw Error(ErrorCode::kTryAgain, "busy", "by x"); };
  const Outcome outcome =
      run(environment("DEL"), R"({"name": "n", "cniVersion": "0.4.0", "type": "fake"})");
  on_call = nullptr;
  REQUIRE(outcome.status == 1);
  REQUIRE(outcome.out ==
          "{\n    \"cniVersion\": \"0.4.0\",\n    \"code\": 11,\n    \"details\": \"by x\",\n"
          "    \"msg\": \"busy\"\n}");
}

TEST_CASE("run: GC calls the plugin with what is valid, and not when nobody says", "[plugin]") {
  const auto gc = [](std::string_view members) {
    const Outcome outcome =
        run(environment("GC"), concat(R"({"name":"n","cniVersion":"1.1.0")", members, "}"));
    CHECK(outcome.status == 0);
    return called;
  };
  CHECK(gc("").empty());
  CHECK(gc(R"(,"cni.dev/valid-attachments":null)") == "g0");
  CHECK(gc(R"(,"cni.dev/valid-attachments":[{"containerID":"c","ifname":"e"}])") == "g1");
}

TEST_CASE("run: STATUS answers 50 for what stands in the way, else the error's own code",
          "[plugin]") {
  static ErrorCode thrown;
  on_call = [](const Request&) { throw Error(thrown, "msg", "details"); };
  const auto answered = [](ErrorCode code) {
    thrown = code;
    const Outcome outcome = run(environment("STATUS"));
    CHECK(outcome.field("msg") == "msg");
    CHECK(outcome.field("details") == "details");
    return outcome.code();
  };
  for (const unsigned code : {5U, 100U, 101U, 102U, 103U}) {
    CHECK(answered(ErrorCode{code}) == 50);
  }
  for (const unsigned code : {1U, 2U, 4U, 6U, 7U, 11U, 50U, 51U, 99U, 999U}) {
    CHECK(answered(ErrorCode{code}) == code);
  }
  on_call = nullptr;
}

TEST_CASE("run: no details, no key", "[plugin]") {
  const Outcome outcome =
      run_failing([](const Request&) { throw Error(ErrorCode::kInvalidNetns, "x"); });
  REQUIRE(outcome.out.find("details") == std::string::npos);
  REQUIRE(outcome.code() == 8);
}

TEST_CASE("run: whatever is thrown becomes an error object", "[plugin]") {
  REQUIRE(run_failing([](const Request&) { throw std::runtime_error("words"); }).field("msg") ==
          "words");
  REQUIRE(run_failing([](const Request&) { throw std::bad_alloc(); }).field("msg") ==
          "out of memory");
  const Outcome other = run_failing([](const Request&) { throw 5; });
  REQUIRE(other.status == 1);
  REQUIRE(other.code() == 999);
}

TEST_CASE("run: an unsupported version is answered in ours", "[plugin]") {
  const Outcome outcome = run(environment("ADD"), R"({"name": "n", "cniVersion": "9.9.9"})");
  REQUIRE(outcome.code() == 1);
  REQUIRE(outcome.field("cniVersion") == "1.1.0");
  REQUIRE(called.empty());
}

TEST_CASE("run: bytes that are not UTF-8 still give JSON", "[plugin]") {
  const Outcome outcome = run_failing(
      [](const Request&) { throw Error(ErrorCode::kIo, "open \xff\xfe \n \"x\"", "\x80"); });
  REQUIRE(outcome.field("msg").find("\xef\xbf\xbd") != std::string::npos);
}

TEST_CASE("run: the time for a verb", "[plugin][deadline]") {
  const auto limit = [](const char* config, const char* variable, const char* command = "CHECK") {
    Environment env = environment(command);
    if (variable != nullptr) env.set("CNI_TIMEOUT_SECONDS", variable);
    return run(env, config);
  };
  const auto* long_time = R"({"name": "n", "cniVersion": "1.1.0", "timeoutSeconds": 600})";
  REQUIRE(limit(kConfig, nullptr).status == 0);
  REQUIRE(cni::Deadline::remaining() <= cni::Deadline::kDefault);
  REQUIRE(limit(long_time, nullptr).status == 0);
  REQUIRE(cni::Deadline::remaining() > std::chrono::seconds(300));
  REQUIRE(limit(long_time, "7").status == 0);
  REQUIRE(cni::Deadline::remaining() <= std::chrono::seconds(7));
  for (const char* bad : {"0", "-1", "x", "3601", "1s", "99999999999999999999"}) {
    REQUIRE(limit(kConfig, bad).code() == 4);
    REQUIRE(limit(kConfig, bad, "ADD").code() == 4);
    // Cleaning up works with what ADD refuses.
    REQUIRE(limit(kConfig, bad, "DEL").status == 0);
    REQUIRE(limit(kConfig, bad, "GC").status == 0);
    REQUIRE(cni::Deadline::remaining() > std::chrono::seconds(20));
  }
  for (const char* bad : {R"("5")", "0", "3601", "1.5"}) {
    const std::string config =
        R"({"name": "n", "cniVersion": "1.1.0", "timeoutSeconds": )" + std::string(bad) + "}";
    REQUIRE(limit(config.c_str(), nullptr).code() == 7);
    REQUIRE(limit(config.c_str(), nullptr, "DEL").status == 0);
  }
}

TEST_CASE("run: logging by configuration and environment, without secrets", "[plugin][log]") {
  const cni::test::TempDir dir;
  Environment env = environment("ADD");
  env.set("CNI_ARGS", "IgnoreUnknown=1;PASSWORD=hunter2");
  const bool by_environment = GENERATE(true, false);
  std::string config = kConfig;
  if (by_environment) {
    env.set("CNI_LOG_LEVEL", "debug");
    env.set("CNI_LOG_FILE", dir.path("log"));
  } else {
    config = R"({"name": "n", "cniVersion": "1.1.0", "logLevel": "debug", "logFile": ")" +
             dir.path("log") + "\"}";
  }
  on_call = [](const Request& request) {
    (void)cni::CniArgs::parse(request.args + ";PASSWORD", {});
  };
  const Outcome outcome = run(env, config);
  on_call = nullptr;
  REQUIRE(outcome.code() == 4);
  const std::string text = cni::read_file(dir.path("log"));
  REQUIRE(text.find(" plugin=fake verb=ADD network=n container=c1 ifname=eth0") !=
          std::string::npos);
  REQUIRE((text + outcome.out).find("hunter2") == std::string::npos);
}

TEST_CASE("run: logging never fails a verb", "[plugin][log]") {
  const auto* config = GENERATE(
      R"({"name": "n", "logLevel": "loud"})", R"({"name": "n", "logLevel": 5, "logFile": {}})",
      R"({"name": "n", "logLevel": "debug", "logFile": "/proc/nothing/log"})",
      R"({"name": "n", "logLevel": "debug", "logFile": "/"})");
  REQUIRE(run(environment("DEL"), config).status == 0);
}
