// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/network.h"

#include "base/concat.h"
#include "base/error.h"
#include "runtime/base64.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::concat;
using cni::Network;
using cni::parse_network_list;

namespace {

std::string list_with(std::string_view more) {
  return concat(R"({"name": "n", "plugins": [{"type": "a"}])", more.empty() ? "" : ", ", more, "}");
}

cni::Error test_error(const std::string& text) {
  return cni::test::error_of([&] { (void)parse_network_list(text); });
}

}  // namespace

TEST_CASE("base64: both ways", "[base64]") {
  const auto pair = GENERATE(values<std::pair<const char*, const char*>>(
      {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar\n", "Zm9vYmFyCg=="}}));
  REQUIRE(cni::encode_base64(pair.first) == pair.second);
  REQUIRE(cni::decode_base64(pair.second) == pair.first);
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  REQUIRE(cni::decode_base64(cni::encode_base64(all)) == all);
}

TEST_CASE("base64: what is none", "[base64]") {
  const auto* text =
      GENERATE("Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9\n", "Zm9-", "=Zm9");
  REQUIRE_FALSE(cni::decode_base64(text));
}

TEST_CASE("network list: what it holds", "[network]") {
  const std::string text =
      R"({"name": "n", "cniVersion": "1.0.0", "disableCheck": true, "disableGC": "TRUE",
          "loadOnlyInlinedPlugins": "false", "plugins": [{"type": "a", "x": null},
          {"Type": "b", "name": "second"}]})"
      "\n";
  const Network network = parse_network_list(text);
  REQUIRE(network.name == "n");
  REQUIRE(network.version == "1.0.0");
  REQUIRE(network.disable_check);
  REQUIRE(network.disable_gc);
  REQUIRE_FALSE(network.only_inlined_plugins);
  REQUIRE(network.source == text);
  REQUIRE(network.plugins.size() == 2);
  REQUIRE(network.plugins[0].dump() == R"({"type":"a","x":null})");
  REQUIRE(cni::describe_plugin(network.plugins[0]) == "type=\"a\"");
  REQUIRE(cni::describe_plugin(network.plugins[1]) == "type=\"b\" name=\"second\"");
}

TEST_CASE("network list: the version that is used", "[network]") {
  const auto pair = GENERATE(values<std::pair<const char*, const char*>>({
      {"", ""},
      {R"("cniVersion": "1.2.3")", "1.2.3"},
      {R"("cniVersions": ["0.3.1", "1.0.0", "0.4.0"])", "1.0.0"},
      {R"("cniVersion": "1.1.0", "cniVersions": ["0.3.1", "1.0.0"])", "1.1.0"},
      {R"("cniVersion": "0.3.1", "cniVersions": ["1.0.0", "1.2.0", "9.0.0"])", "1.0.0"},
      {R"("cniVersion": "9.0.0", "cniVersions": ["2.0.0"])", "9.0.0"},
      {R"("cniVersion": "0.4.0", "cniVersions": [])", "0.4.0"},
  }));
  REQUIRE(parse_network_list(list_with(pair.first)).version == pair.second);
}

TEST_CASE("network list: what is none names the key", "[network]") {
  const auto pair = GENERATE(values<std::pair<std::string, const char*>>({
      {"x", "not JSON"},
      {"[]", "expected a JSON object"},
      {"{}", "no name"},
      {R"({"Name": "n"})", "no name"},
      {R"({"name": 5})", "invalid name type"},
      {list_with(R"("cniVersion": 1)"), "invalid cniVersion type"},
      {list_with(R"("cniVersions": "1.0.0")"), "invalid type for cniVersions:"},
      {list_with(R"("cniVersions": [1])"), "invalid type for cniVersions index 0:"},
      {list_with(R"("cniVersions": ["1.0.0", "x"])"), "invalid cniVersions entry \"x\" at index 1"},
      {list_with(R"("disableCheck": "yes")"), "invalid value \"yes\" for disableCheck"},
      {list_with(R"("disableGC": 1)"), "invalid type for disableGC:"},
      {R"({"name": "n", "plugins": {}})", "invalid 'plugins' type"},
      {R"({"name": "n", "plugins": []})", "no plugins in list"},
      {R"({"name": "n", "loadOnlyInlinedPlugins": true})",
       "`loadOnlyInlinedPlugins` is true, and no 'plugins' key"},
  }));
  const auto error = test_error(pair.first);
  INFO(pair.first << " gave " << error.msg());
  REQUIRE(error.msg().find(concat("error parsing configuration list: ", pair.second)) == 0);
}

TEST_CASE("network list: a plugin without type is named by its place", "[network]") {
  const auto* plugin = GENERATE("{}", R"({"type": ""})", "5", "null");
  const std::string text = concat(R"({"name": "n", "plugins": [{"type": "a"}, )", plugin, "]}");
  REQUIRE(test_error(text).msg().find("failed to parse plugin config 1: error parsing "
                                      "configuration: ") == 0);
}

TEST_CASE("network list: a single plugin becomes a list of one", "[network]") {
  const Network network = cni::parse_single_plugin(
      R"({"Name": "n", "cniVersion": "0.4.0", "type": "a", "big": 12345678901234567890})");
  REQUIRE(network.name == "n");
  REQUIRE(network.version == "0.4.0");
  REQUIRE(network.plugins.size() == 1);
  REQUIRE(parse_network_list(network.source).plugins[0].dump() == network.plugins[0].dump());
  REQUIRE_THROWS_AS(cni::parse_single_plugin(R"({"name": "n"})"), cni::Error);
}

TEST_CASE("network: versions are compared as numbers", "[network]") {
  Network network;
  REQUIRE_FALSE(network.version_at_least("0.4.0"));
  network.version = "1.10.0";
  REQUIRE(network.version_at_least("1.9.0"));
  network.version = "x";
  REQUIRE_THROWS_AS(network.version_at_least("0.4.0"), cni::Error);
}
