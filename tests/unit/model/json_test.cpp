// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/json.h"

#include <utility>

#include "base/concat.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::ErrorCode;
using cni::Json;
using cni::JsonRef;

namespace {

template <typename Read>
std::string config_error(const char* document, Read&& read) {
  const Json json = Json::parse(document);
  const cni::Error error = cni::test::error_of([&] { read(json.root()); });
  REQUIRE(error.code() == ErrorCode::kInvalidConfig);
  return error.msg();
}

}  // namespace

TEST_CASE("json: errors name the place and the value", "[json]") {
  const auto* document = R"({"ipam": {"ranges": [[{"subnet": 5}], "x"], "on": 1, "n": "1500"}})";
  REQUIRE(config_error(document, [](JsonRef j) {
            (void)j["ipam"]["ranges"].items()[0].items()[0]["subnet"].string();
          }) == "ipam.ranges[0][0].subnet: expected a string, got 5");
  REQUIRE(config_error(document, [](JsonRef j) { (void)j["ipam"]["ranges"].items()[1].items(); }) ==
          "ipam.ranges[1]: expected an array, got \"x\"");
  REQUIRE(config_error(document, [](JsonRef j) { (void)j["ipam"]["on"].bool_or(false); }) ==
          "ipam.on: expected true or false, got 1");
  REQUIRE(config_error(document, [](JsonRef j) { (void)j["ipam"]["n"].int_or(0, 0, 9); }) ==
          "ipam.n: expected an integer, got \"1500\"");
  REQUIRE(config_error(document, [](JsonRef j) { (void)j["ipam"]["type"].string(); }) ==
          "ipam.type: missing");
  REQUIRE(config_error(document, [](JsonRef j) { (void)j["ipam"]["on"]["x"]; }) ==
          "ipam.on: expected an object, got 1");
  REQUIRE(config_error("[]", [](JsonRef j) { (void)j["x"]; }) ==
          "network configuration: expected an object, got []");
}

TEST_CASE("json: long values are cut in messages", "[json]") {
  const std::string document = cni::concat("{\"a\": \"", std::string(5000, 'x'), "\"}");
  REQUIRE(config_error(document.c_str(), [](JsonRef j) { (void)j["a"].bool_or(true); }).size() <
          120);
}

TEST_CASE("json: members without regard to case, the exact spelling first", "[json]") {
  const Json json = Json::parse(R"({"RuntimeConfig": 1, "ISGATEWAY": true, "mtu": 1, "MTU": 2})");
  REQUIRE(json.root()["runtimeConfig"].int_or(0, 0, 9) == 1);
  REQUIRE(json.root()["isGateway"].bool_or(false));
  REQUIRE(json.root()["mtu"].int_or(0, 0, 9) == 1);
  REQUIRE(json.root()["MTU"].int_or(0, 0, 9) == 2);
  REQUIRE_FALSE(json.root().exact("isGateway").written());
  REQUIRE_FALSE(json.root()["isGatewayX"].present());
  REQUIRE(json.root()["runtimeConfig"].path() == "RuntimeConfig");
}

TEST_CASE("json: of duplicate keys the last wins", "[json]") {
  const Json json = Json::parse(R"({"a": 1, "a": {"b": 1}, "a": {"c": 3}})");
  REQUIRE(json.root()["a"]["c"].int_or(0, 0, 9) == 3);
  REQUIRE_FALSE(json.root()["a"]["b"].present());
}

TEST_CASE("json: null counts as absent but is written", "[json]") {
  const Json json = Json::parse(R"({"a": null})");
  const JsonRef a = json.root()["a"];
  REQUIRE_FALSE(a.present());
  REQUIRE_FALSE(a);
  REQUIRE(a.written());
  REQUIRE(a.string_or("x") == "x");
  REQUIRE(a.bool_or(true));
  REQUIRE(a.int_or(7, 0, 9) == 7);
  REQUIRE(a.items().empty());
  REQUIRE(a.members().empty());
  REQUIRE_FALSE(a["b"]["c"].written());
  REQUIRE(a["b"]["c"].path() == "a.b.c");
  REQUIRE(a["b"].text() == "null");
  REQUIRE_FALSE(JsonRef().present());
}

TEST_CASE("json: integers", "[json]") {
  const Json json = Json::parse(
      R"({"a": 12345678901234567890, "b": -1, "c": 1500.5, "d": 1500.0, "e": 4294967295, "f": 1e3})");
  const JsonRef root = json.root();
  REQUIRE(root["e"].integer(0, 4294967295) == 4294967295);
  for (const char* key : {"a", "b", "c", "d", "f"}) {
    REQUIRE_THROWS_AS(root[key].integer(0, INT64_MAX), cni::Error);
  }
  REQUIRE(root["b"].integer(-1, 1) == -1);
  REQUIRE(root["x"].integer(0, 1) == std::nullopt);
  const auto error = cni::test::error_of([&] { (void)root["e"].integer(0, 65535); });
  REQUIRE(error.msg() == "e: must be between 0 and 65535, got 4294967295");
}

TEST_CASE("json: numbers pass through as written", "[json]") {
  const auto* text = R"({"a":12345678901234567890,"b":-9223372036854775808,"c":0.5,"d":1500.0})";
  REQUIRE(Json::parse(text).dump() == text);
}

TEST_CASE("json: arrays of strings", "[json]") {
  const Json json = Json::parse(R"({"a": ["x", "y"], "b": ["x", null], "c": "x"})");
  REQUIRE(json.root()["a"].strings() == std::vector<std::string>{"x", "y"});
  REQUIRE(json.root()["d"].strings().empty());
  REQUIRE(cni::test::error_of([&] { (void)json.root()["b"].strings(); }).msg() == "b[1]: missing");
  REQUIRE_THROWS_AS(json.root()["c"].strings(), cni::Error);
}

TEST_CASE("json: text that is no document", "[json]") {
  const std::string text =
      GENERATE(as<std::string>{}, "", " ", "{", "{}x", "{} {}", "{\"a\":}", "{'a':1}", "{a:1}",
               "\xef\xbb\xbf{}", "nul", "{\"a\":01}", "{\"a\":1,}", "[1e999]", "\"a\nb\"",
               std::string("{}\0", 3), std::string("{}\0x", 4), "// x\n{}");
  CAPTURE(text);
  const auto error = cni::test::error_of([&] { (void)Json::parse(text); });
  REQUIRE(error.code() == ErrorCode::kDecode);
  REQUIRE(error.what()[0] == 'n');  // "not JSON ..."
  REQUIRE(error.details().find("json.exception") == std::string::npos);
}

TEST_CASE("json: nesting is limited", "[json]") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  REQUIRE(Json::parse(nested(1000)).dump() == nested(1000));
  REQUIRE(cni::test::error_of([&] { (void)Json::parse(nested(1001)); }).code() ==
          ErrorCode::kDecode);
  REQUIRE(cni::test::error_of([&] { (void)Json::parse(std::string(5'000'000, '[')); }).code() ==
          ErrorCode::kDecode);
  const std::string in_string = cni::concat("[\"\\\"", std::string(5000, '['), "\"]");
  REQUIRE(Json::parse(in_string).size() == 1);
}

TEST_CASE("json: invalid UTF-8 in strings becomes the replacement character", "[json]") {
  const std::string bad = GENERATE(as<std::string>{}, "\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80",
                                   "\xf5\x80\x80\x80", "\xe0\x80\x80");
  const Json json = Json::parse(cni::concat("{\"a\":\"x", bad, "y\"}"));
  const std::string value = json.root()["a"].string();
  REQUIRE(value.find("\xef\xbf\xbd") == 1);
  REQUIRE(value.back() == 'y');
  REQUIRE(Json::parse("[\"\xc3\xa4\xf0\x9f\x98\x80\"]").dump() == "[\"\xc3\xa4\xf0\x9f\x98\x80\"]");
}

TEST_CASE("json: building", "[json]") {
  Json json = Json::object();
  json.set("b", true).set("a", "x").set("n", 5).set("l", std::vector<std::string>{});
  json.set("o", Json::object().set("k", Json()));
  json.set("x", 1).erase("x").erase("y");
  REQUIRE(json.dump() == R"({"a":"x","b":true,"l":[],"n":5,"o":{"k":null}})");
  REQUIRE(json.dump(4).substr(0, 14) == "{\n    \"a\": \"x\"");
  REQUIRE(Json::array().push(1).push("two").dump() == R"([1,"two"])");
  REQUIRE(Json(std::string_view("\xff")).dump() == "\"\xef\xbf\xbd\"");
}

TEST_CASE("json: copies are independent, assignment works from the moved-from state", "[json]") {
  Json first = Json::object().set("a", 1);
  Json second = first;
  second.set("a", 2);
  REQUIRE(first.dump() == R"({"a":1})");
  Json third = std::move(first);
  first = second;
  REQUIRE(first.dump() == R"({"a":2})");
  REQUIRE(third.dump() == R"({"a":1})");
  const Json part(third.root()["a"]);
  third = Json();
  REQUIRE(part.dump() == "1");
}

TEST_CASE("json: a key that stands twice in a member", "[json]") {
  CHECK(Json::find_repeated_key(R"({"a":{"b":1,"c":2,"b":3}})", "a") == "b");
  CHECK(Json::find_repeated_key(R"({"A":{"b":{"b":1},"c":{"b":2}}})", "a") == std::nullopt);
  CHECK(Json::find_repeated_key(R"({"x":{"b":1,"b":2},"a":[{"b":1},{"b":1}]})", "a") ==
        std::nullopt);
  CHECK(Json::find_repeated_key("[1]", "a") == std::nullopt);
}
