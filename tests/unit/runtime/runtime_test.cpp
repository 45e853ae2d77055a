// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/runtime.h"

#include <functional>

#include "base/concat.h"
#include "base/fd.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::AttachArgs;
using cni::concat;
using cni::Error;
using cni::ErrorCode;
using cni::Json;
using cni::Network;
using cni::ResultCache;
using cni::test::error_of;

namespace {

/// Plugins "one", "two" and "three": scripts that write down how they were called. A file
/// "fail.VERB.NAME" makes one fail with that output, "result.NAME" is what its ADD prints.
class Plugins {
 public:
  Plugins() {
    for (const char* name : {"one", "two", "three"}) {
      dir_.script(concat("bin/", name), concat("cd ", dir_.path(), R"(
echo $CNI_COMMAND ${0##*/} >> calls
cat > stdin.$CNI_COMMAND.${0##*/}
env > env.$CNI_COMMAND.${0##*/}
test -e fail.$CNI_COMMAND.${0##*/} && { cat fail.$CNI_COMMAND.${0##*/}; exit 1; }
test $CNI_COMMAND = ADD && cat result.${0##*/}
test $CNI_COMMAND != VERSION || cat version.${0##*/})"));
      result(name, concat(R"({"cniVersion": "1.1.0", "interfaces": [{"name": ")", name, "\"}]}"));
    }
    args.container_id = "c1";
    args.netns = "/run/netns/c1";
    args.ifname = "eth0";
  }

  void result(std::string_view name, std::string_view text) {
    dir_.write(concat("result.", name), text);
  }
  void fail(std::string_view verb_and_name, std::string_view output) {
    dir_.write(concat("fail.", verb_and_name), output);
  }
  void write(std::string_view name, std::string_view text) { dir_.write(name, text); }
  [[nodiscard]] std::string calls() {
    const cni::Fd fd = cni::open_file_if_exists(dir_.path("calls"), 0);
    return fd.valid() ? cni::read_all(fd.get(), "calls") : "";
  }
  [[nodiscard]] std::string calls_from_now(const std::function<void()>& action) {
    const std::size_t before = calls().size();
    action();
    return calls().substr(before);
  }
  [[nodiscard]] Json input(std::string_view verb_and_name) {
    return Json::parse(cni::read_file(dir_.path(concat("stdin.", verb_and_name))));
  }
  [[nodiscard]] std::string env(std::string_view verb_and_name) {
    return "\n" + cni::read_file(dir_.path(concat("env.", verb_and_name)));
  }
  [[nodiscard]] ResultCache cache() { return ResultCache(dir_.path("cache")); }
  [[nodiscard]] cni::Runtime runtime() {
    return {cni::Environment({"PATH=/usr/bin:/bin", "CALLER=me", "CNI_IFNAME=old"}),
            dir_.path("bin"), cache()};
  }
  [[nodiscard]] std::string cache_file() const { return dir_.path("cache/results/net-c1-eth0"); }

  AttachArgs args;

 private:
  cni::test::TempDir dir_;
};

Network network(std::string_view version = "1.1.0", std::string_view more = "") {
  return cni::parse_network_list(
      concat(R"({"name": "net", "cniVersion": ")", version, "\"", more,
             R"(, "plugins": [{"type": "one"}, {"type": "two"}, {"type": "three"}]})"));
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("ADD: plugins in order, each gets the result of the one before", "[chain]") {
  Plugins plugins;
  const Json result = plugins.runtime().add(network(), plugins.args);
  REQUIRE(plugins.calls() == "ADD one\nADD two\nADD three\n");
  REQUIRE(result.root()["interfaces"].items()[0]["name"].string() == "three");
  REQUIRE_FALSE(plugins.input("ADD.one").root()["prevResult"].written());
  REQUIRE(plugins.input("ADD.three").root()["prevResult"]["interfaces"].text() ==
          R"([{"name":"two"}])");
  REQUIRE(plugins.cache().find("net", {"c1", "eth0"})->result.dump() == result.dump());
}

TEST_CASE("ADD: the environment", "[chain]") {
  Plugins plugins;
  plugins.args.args = {{"K", "V"}, {"L", "W"}};
  (void)plugins.runtime().add(network(), plugins.args);
  const std::string env = plugins.env("ADD.one");
  REQUIRE(has(env, "\nCNI_CONTAINERID=c1\n"));
  REQUIRE(has(env, "\nCNI_NETNS=/run/netns/c1\n"));
  REQUIRE(has(env, "\nCNI_IFNAME=eth0\n"));
  REQUIRE(has(env, "\nCNI_ARGS=K=V;L=W\n"));
  REQUIRE(has(env, "\nCALLER=me\n"));
  REQUIRE_FALSE(has(env, "CNI_IFNAME=old"));
}

TEST_CASE("plugin config: what is set, what stays, what goes", "[chain]") {
  const Json plugin = Json::parse(
      R"({"type": "one", "capabilities": {"mac": true, "ips": false, "portMappings": true},
          "runtimeConfig": {"old": 1}, "big": 12345678901234567890, "nothing": null,
          "name": "x", "cniVersion": "0.1.0"})");
  const Json none = cni::plugin_config(network(), plugin, {}, Json::object());
  REQUIRE(none.dump() ==
          R"({"big":12345678901234567890,"cniVersion":"1.1.0","name":"net","nothing":null,)"
          R"("runtimeConfig":{"old":1},"type":"one"})");
  const Json some = cni::plugin_config(
      network(), plugin, Json::parse(R"({"ips": []})"),
      Json::parse(R"({"mac": "m", "ips": ["x"], "bandwidth": {}, "portMappings": null})"));
  REQUIRE(some.root()["runtimeConfig"].text() == R"({"mac":"m","portMappings":null})");
  REQUIRE(some.root()["prevResult"].text() == R"({"ips":[]})");
  REQUIRE_FALSE(some.root()["capabilities"].written());
}

TEST_CASE("ADD: when a plugin fails, it and those before it are deleted", "[chain][rollback]") {
  Plugins plugins;
  plugins.fail("ADD.three", R"({"code": 11, "msg": "busy", "details": "by x"})");
  const Error error = error_of([&] { (void)plugins.runtime().add(network(), plugins.args); });
  REQUIRE(error.code() == ErrorCode::kTryAgain);
  REQUIRE(error.msg() == "plugin type=\"three\" failed (add): busy");
  REQUIRE(error.details() == "by x");
  REQUIRE(plugins.calls() == "ADD one\nADD two\nADD three\nDEL three\nDEL two\nDEL one\n");
  REQUIRE(plugins.input("DEL.one").root()["prevResult"]["interfaces"].text() ==
          R"([{"name":"two"}])");
  REQUIRE_FALSE(plugins.cache().contains("net", {"c1", "eth0"}));
}

TEST_CASE("ADD: a rollback goes on after failures and keeps the first error", "[chain][rollback]") {
  Plugins plugins;
  const cni::test::CaptureStderr quiet;
  plugins.fail("ADD.two", "garbage");
  plugins.fail("DEL.two", R"({"code": 5, "msg": "x"})");
  const Error error = error_of([&] { (void)plugins.runtime().add(network(), plugins.args); });
  REQUIRE(has(error.msg(), "plugin type=\"two\" failed (add): "));
  REQUIRE(plugins.calls() == "ADD one\nADD two\nDEL two\nDEL one\n");
}

TEST_CASE("ADD: a second one that fails leaves the first attachment alone", "[chain][rollback]") {
  Plugins plugins;
  (void)plugins.runtime().add(network(), plugins.args);
  plugins.fail("ADD.one", R"({"code": 102, "msg": "eth0 exists"})");
  REQUIRE_THROWS_AS(plugins.runtime().add(network(), plugins.args), Error);
  REQUIRE_FALSE(has(plugins.calls(), "DEL"));
  REQUIRE(plugins.cache().contains("net", {"c1", "eth0"}));
}

TEST_CASE("ADD: when the result cannot be kept everything is deleted", "[chain][rollback]") {
  Plugins plugins;
  plugins.write("cache", "a file, not a directory");
  const Error error = error_of([&] { (void)plugins.runtime().add(network(), plugins.args); });
  REQUIRE(has(error.msg(), "failed to set network \"net\" cached result: "));
  REQUIRE(has(plugins.calls(), "DEL three\nDEL two\nDEL one\n"));
}

TEST_CASE("ADD: nothing runs when a plugin is missing or a name is bad", "[chain]") {
  Plugins plugins;
  Network missing = network();
  missing.plugins.push_back(Json::parse(R"({"type": "four", "name": "x"})"));
  REQUIRE(has(error_of([&] { (void)plugins.runtime().add(missing, plugins.args); }).msg(),
              "plugin type=\"four\" name=\"x\" failed (add): failed to find plugin \"four\""));
  plugins.args.container_id = "../x";
  REQUIRE_THROWS_AS(plugins.runtime().add(network(), plugins.args), Error);
  plugins.args.container_id = "";
  REQUIRE(error_of([&] { (void)plugins.runtime().add(network(), plugins.args); }).code() ==
          ErrorCode::kUnknownContainer);
  REQUIRE(plugins.calls().empty());
}

TEST_CASE("ADD: results that are none", "[chain]") {
  Plugins plugins;
  const auto* text =
      GENERATE("", "[]", "garbage", R"({"cniVersion": "9.9.9"})", R"({"ips": [{"address": "x"}]})");
  plugins.result("one", text);
  const Error error = error_of([&] { (void)plugins.runtime().add(network(), plugins.args); });
  REQUIRE(has(error.msg(), "plugin type=\"one\" failed (add): failed to unmarshal raw result: "));
}

TEST_CASE("ADD: null and a result without version are in the list's version", "[chain]") {
  Plugins plugins;
  plugins.result("three", GENERATE("null", "{}", R"({"cniVersion": ""})"));
  REQUIRE(plugins.runtime().add(network("0.4.0"), plugins.args).dump() ==
          R"({"cniVersion":"0.4.0"})");
}

TEST_CASE("ADD: a result of another version is converted for the next plugin only", "[chain]") {
  Plugins plugins;
  const auto* old = R"({"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24"}})";
  plugins.result("two", old);
  plugins.result("three", old);
  REQUIRE(plugins.runtime().add(network("1.0.0"), plugins.args).dump() == old);
  REQUIRE(plugins.input("ADD.three").root()["prevResult"].text() ==
          R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]})");
}

TEST_CASE("CHECK: in order, all with the cached result", "[chain]") {
  Plugins plugins;
  (void)plugins.runtime().add(network(), plugins.args);
  REQUIRE(plugins.calls_from_now([&] { plugins.runtime().check(network(), plugins.args); }) ==
          "CHECK one\nCHECK two\nCHECK three\n");
  REQUIRE(plugins.input("CHECK.one").root()["prevResult"]["interfaces"].text() ==
          R"([{"name":"three"}])");
  plugins.fail("CHECK.two", R"({"code": 101, "msg": "differs"})");
  const Error error = error_of([&] { plugins.runtime().check(network(), plugins.args); });
  REQUIRE(error.msg() == "plugin type=\"two\" failed (check): differs");
}

TEST_CASE("CHECK: too old, disabled, without or with a broken cache", "[chain]") {
  Plugins plugins;
  REQUIRE(error_of([&] { plugins.runtime().check(network("0.3.1"), plugins.args); }).msg() ==
          "configuration version \"0.3.1\" does not support the CHECK command");
  plugins.runtime().check(network("1.0.0", R"(, "disableCheck": true)"), plugins.args);
  REQUIRE(plugins.calls().empty());
  plugins.runtime().check(network(), plugins.args);
  REQUIRE_FALSE(plugins.input("CHECK.one").root()["prevResult"].written());
  plugins.write("cache/results/net-c1-eth0", "{");
  REQUIRE(has(error_of([&] { plugins.runtime().check(network(), plugins.args); }).msg(),
              "failed to get network \"net\" cached result: "));
}

TEST_CASE("DEL: backwards, with the cached result, then the cache entry goes", "[chain]") {
  Plugins plugins;
  (void)plugins.runtime().add(network(), plugins.args);
  REQUIRE(plugins.calls_from_now([&] { plugins.runtime().del(network(), plugins.args); }) ==
          "DEL three\nDEL two\nDEL one\n");
  REQUIRE(plugins.input("DEL.one").root()["prevResult"].present());
  REQUIRE_FALSE(plugins.cache().contains("net", {"c1", "eth0"}));
  plugins.runtime().del(network(), plugins.args);
  REQUIRE_FALSE(plugins.input("DEL.one").root()["prevResult"].written());
}

TEST_CASE("DEL: stops at a failure and keeps the cache entry", "[chain]") {
  Plugins plugins;
  (void)plugins.runtime().add(network(), plugins.args);
  plugins.fail("DEL.two", R"({"code": 11, "msg": "busy"})");
  REQUIRE(plugins.calls_from_now([&] {
    REQUIRE(error_of([&] { plugins.runtime().del(network(), plugins.args); }).msg() ==
            "plugin type=\"two\" failed (delete): busy");
  }) == "DEL three\nDEL two\n");
  REQUIRE(plugins.cache().contains("net", {"c1", "eth0"}));
}

TEST_CASE("DEL: a broken cache file blocks nothing", "[chain]") {
  Plugins plugins;
  const auto* content = GENERATE("", "{", "[]", R"({"cniVersion": "9.9.9"})",
                                 R"({"kind": "cniCacheV1", "result": {"ips": 5}})");
  plugins.write("cache/results/net-c1-eth0", content);
  plugins.runtime().del(network(), plugins.args);
  REQUIRE(plugins.calls() == "DEL three\nDEL two\nDEL one\n");
  REQUIRE_FALSE(plugins.input("DEL.one").root()["prevResult"].written());
  REQUIRE_FALSE(plugins.cache().contains("net", {"c1", "eth0"}));
}

TEST_CASE("DEL: before 0.4.0 there is no prevResult", "[chain]") {
  Plugins plugins;
  for (const char* name : {"one", "two", "three"}) plugins.result(name, R"({"interfaces": []})");
  (void)plugins.runtime().add(network("0.3.1"), plugins.args);
  plugins.runtime().del(network("0.3.1"), plugins.args);
  REQUIRE_FALSE(plugins.input("DEL.one").root()["prevResult"].written());
}

TEST_CASE("GC: deletes what is not valid and tells the plugins what is", "[chain][gc]") {
  Plugins plugins;
  plugins.args.args = {{"K", "V"}};
  for (const char* id : {"c1", "c2"}) {
    plugins.args.container_id = id;
    (void)plugins.runtime().add(network(), plugins.args);
  }
  const cni::ValidAttachments valid = std::vector<cni::Attachment>{{"c2", "eth0"}, {"c9", "eth1"}};
  REQUIRE(plugins.calls_from_now([&] { plugins.runtime().gc(network(), valid); }) ==
          "DEL three\nDEL two\nDEL one\nGC one\nGC two\nGC three\n");
  REQUIRE(has(plugins.env("DEL.one"), "\nCNI_CONTAINERID=c1\n"));
  REQUIRE(has(plugins.env("DEL.one"), "\nCNI_ARGS=K=V\n"));
  REQUIRE(has(plugins.env("GC.one"), "\nCNI_CONTAINERID=\n"));
  const Json input = plugins.input("GC.one");
  const auto* list =
      R"([{"containerID":"c2","ifname":"eth0"},{"containerID":"c9","ifname":"eth1"}])";
  REQUIRE(input.root().exact("cni.dev/valid-attachments").text() == list);
  REQUIRE(input.root().exact("cni.dev/attachments").text() == list);
  REQUIRE(plugins.cache().list().size() == 1);
}

TEST_CASE("GC: absent and empty lists are different things", "[chain][gc]") {
  Plugins plugins;
  (void)plugins.runtime().add(network(), plugins.args);
  plugins.runtime().gc(network(), std::nullopt);
  REQUIRE(plugins.cache().list().empty());
  REQUIRE_FALSE(plugins.input("GC.one").root().exact("cni.dev/valid-attachments").written());
  plugins.runtime().gc(network(), std::vector<cni::Attachment>{});
  REQUIRE(plugins.input("GC.one").root().exact("cni.dev/valid-attachments").text() == "[]");
}

TEST_CASE("GC: other networks, old versions and disableGC", "[chain][gc]") {
  Plugins plugins;
  (void)plugins.runtime().add(network(), plugins.args);
  Network other = network();
  other.name = "other";
  REQUIRE(plugins.calls_from_now([&] { plugins.runtime().gc(other, std::nullopt); }) ==
          "GC one\nGC two\nGC three\n");
  REQUIRE(plugins
              .calls_from_now([&] {
                plugins.runtime().gc(network("1.1.0", R"(, "disableGC": true)"), std::nullopt);
              })
              .empty());
  REQUIRE(plugins.calls_from_now([&] { plugins.runtime().gc(network("1.0.0"), std::nullopt); }) ==
          "DEL three\nDEL two\nDEL one\n");
}

TEST_CASE("GC: goes on after failures and reports them all", "[chain][gc]") {
  Plugins plugins;
  const cni::test::CaptureStderr quiet;
  (void)plugins.runtime().add(network(), plugins.args);
  plugins.fail("DEL.three", R"({"code": 11, "msg": "busy"})");
  plugins.fail("GC.two", R"({"code": 5, "msg": "broken"})");
  const Error error = error_of([&] { plugins.runtime().gc(network(), std::nullopt); });
  REQUIRE(error.msg() ==
          "plugin type=\"three\" failed (delete): busy; plugin type=\"two\" failed (gc): broken");
  REQUIRE(has(plugins.calls(), "GC one\nGC two\nGC three\n"));
}

TEST_CASE("STATUS: in order, the first failure with its code", "[chain][status]") {
  Plugins plugins;
  plugins.runtime().status(network());
  REQUIRE(plugins.calls() == "STATUS one\nSTATUS two\nSTATUS three\n");
  plugins.fail("STATUS.two", R"({"code": 50, "msg": "full"})");
  const Error error = error_of([&] { plugins.runtime().status(network()); });
  REQUIRE(error.code() == ErrorCode::kNotAvailable);
  REQUIRE(error.msg() == "plugin type=\"two\" failed (status): full");
  REQUIRE(plugins.calls_from_now([&] { plugins.runtime().status(network("1.0.0")); }).empty());
}

TEST_CASE("VERSION: new plugins and old ones", "[chain][version]") {
  Plugins plugins;
  plugins.write("version.one",
                R"({"cniVersion": "1.1.0", "supportedVersions": ["1.0.0", "1.1.0"]})");
  plugins.write("version.two", R"({"cniVersion": "0.2.0"})");
  plugins.fail("VERSION.three", R"({"code": 4, "msg": "unknown CNI_COMMAND: VERSION"})");
  const auto versions = plugins.runtime().versions(network());
  REQUIRE(versions.size() == 3);
  REQUIRE(versions[0].versions == std::vector<std::string>{"1.0.0", "1.1.0"});
  REQUIRE(versions[1].versions == std::vector<std::string>{"0.1.0", "0.2.0"});
  REQUIRE(versions[2].versions == std::vector<std::string>{"0.1.0"});
  REQUIRE(has(plugins.env("VERSION.one"), "\nCNI_IFNAME=dummy\n"));
  REQUIRE(plugins.input("VERSION.one").dump() == R"({"cniVersion":"1.1.0"})");
  plugins.write("version.two", "{}");
  REQUIRE_THROWS_AS(plugins.runtime().versions(network()), Error);
}
