// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/load.h"

#include <filesystem>

#include "base/concat.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::concat;
using cni::load_network;
using cni::Network;
using cni::test::TempDir;

namespace {

std::string list(std::string_view name, std::string_view type) {
  return concat(R"({"name": ")", name, R"(", "cniVersion": "1.0.0", "plugins": [{"type": ")", type,
                "\"}]}");
}
std::string plugin(std::string_view name, std::string_view type) {
  return concat(R"({"name": ")", name, R"(", "cniVersion": "1.0.0", "type": ")", type, "\"}");
}

std::string types(const Network& network) {
  std::string out;
  for (const cni::Json& item : network.plugins) {
    out += concat(out.empty() ? "" : ",", cni::plugin_type(item));
  }
  return out;
}

std::string failure(const TempDir& dir, std::string_view name) {
  const cni::test::CaptureStderr quiet;
  return cni::test::error_of([&] { (void)load_network(dir.path(), name); }).what();
}

}  // namespace

TEST_CASE("load: the first file in the order of names wins", "[load]") {
  const TempDir dir;
  dir.write("20.conflist", list("n", "second"));
  dir.write("10.conflist", list("n", "first"));
  dir.write("00.conf", plugin("n", "single"));
  dir.write("05.conflist", list("other", "x"));
  const Network network = load_network(dir.path(), "n");
  REQUIRE(types(network) == "first");
  REQUIRE(network.file == dir.path("10.conflist"));
}

TEST_CASE("load: single plugins come after the lists", "[load]") {
  const TempDir dir;
  dir.write("00.json", plugin("n", "json"));
  dir.write("01.conf", plugin("n", "conf"));
  dir.write("n/x.conf", plugin("", "folder"));
  REQUIRE(types(load_network(dir.path(), "n")) == "json");
}

TEST_CASE("load: other files, directories and sub-directories do not count", "[load]") {
  const TempDir dir;
  dir.write("a.conflist.bak", list("n", "x"));
  dir.write("conflist", list("n", "x"));
  dir.write("sub/a.conflist", list("n", "x"));
  std::filesystem::create_directory(dir.path("d.conflist"));
  REQUIRE(failure(dir, "n") == concat("no net configurations found in ", dir.path()));
  dir.write(".hidden.conflist", list("n", "hidden"));
  REQUIRE(types(load_network(dir.path(), "n")) == "hidden");
}

TEST_CASE("load: a directory that does not exist holds nothing", "[load]") {
  const auto error = cni::test::error_of([] { (void)load_network("/nonexistent/net.d", "n"); });
  REQUIRE(error.msg() == "no net configurations found in /nonexistent/net.d");
}

TEST_CASE("load: a broken file of another network does not matter", "[load]") {
  const TempDir dir;
  const auto* broken =
      GENERATE("{", "", R"({"name": "other"})", R"({"name": "other", "plugins": 5})",
               R"({"plugins": [{"type": "x"}]})");
  dir.write("00.conflist", broken);
  dir.write("10.conflist", list("n", "good"));
  const cni::test::CaptureStderr captured;
  REQUIRE(types(load_network(dir.path(), "n")) == "good");
}

TEST_CASE("load: when nothing matches the unreadable files are named", "[load]") {
  const TempDir dir;
  dir.write("00.conflist", "{");
  dir.write("10.conflist", list("other", "good"));
  const std::string text = failure(dir, "n");
  REQUIRE(text.find(concat("no net configuration with name \"n\" in ", dir.path())) == 0);
  REQUIRE(text.find(dir.path("00.conflist")) != std::string::npos);
  REQUIRE(text.find(dir.path("10.conflist")) == std::string::npos);
}

TEST_CASE("load: what is wrong with the network's own file is an error", "[load]") {
  const TempDir dir;
  dir.write("00.conflist", R"({"name": "n", "plugins": [{}]})");
  dir.write("10.conflist", list("n", "another"));
  REQUIRE(failure(dir, "n").find(
              concat("\"", dir.path("00.conflist"), "\": failed to parse plugin config 0")) == 0);
}

TEST_CASE("load: plugins of the network's folder follow the inlined ones", "[load]") {
  const TempDir dir;
  dir.write("10.conflist", list("n", "inlined"));
  dir.write("n/20.conf", plugin("", "second"));
  dir.write("n/10.conf", plugin("", "first"));
  dir.write("n/30.json", plugin("", "ignored"));
  REQUIRE(types(load_network(dir.path(), "n")) == "inlined,first,second");

  dir.write("10.conflist", R"({"name": "n"})");
  REQUIRE(types(load_network(dir.path(), "n")) == "first,second");

  dir.write("10.conflist", R"({"name": "n", "loadOnlyInlinedPlugins": true,
                               "plugins": [{"type": "inlined"}]})");
  REQUIRE(types(load_network(dir.path(), "n")) == "inlined");

  dir.write("10.conflist", list("n", "inlined"));
  dir.write("n/40.conf", "{}");
  REQUIRE(failure(dir, "n").find("n/40.conf") != std::string::npos);
}

TEST_CASE("load: a network without any plugin is an error", "[load]") {
  const TempDir dir;
  dir.write("10.conflist", R"({"name": "n"})");
  REQUIRE(failure(dir, "n").find("no plugin configs found") != std::string::npos);
}

TEST_CASE("load: a name that is a path does not lead anywhere", "[load]") {
  const TempDir dir;
  dir.write("net.d/10.conflist", R"({"name": "../evil"})");
  dir.write("evil/x.conf", plugin("", "evil"));
  const auto error = cni::test::error_of([&] { (void)load_network(dir.path("net.d"), "../evil"); });
  REQUIRE(std::string(error.what()).find("no plugin configs found") != std::string::npos);
}

TEST_CASE("load: all networks, and the errors of the other files", "[load]") {
  const TempDir dir;
  dir.write("00.conflist", "{");
  dir.write("10.conflist", list("a", "x"));
  dir.write("20.conf", plugin("b", "y"));
  dir.write("30.conf", plugin("a", "shadowed"));
  const cni::NetworkDirectory directory = cni::load_networks(dir.path());
  REQUIRE(directory.networks.size() == 2);
  REQUIRE(directory.networks[0].name == "a");
  REQUIRE(types(directory.networks[1]) == "y");
  REQUIRE(directory.errors.size() == 1);
}
