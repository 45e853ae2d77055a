// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The cnitool binary with scripts as plugins: nothing touches the network.
#include <filesystem>

#include "base/concat.h"
#include "base/fd.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/plugin.h"
#include "support/temp_dir.h"

using cni::concat;
using cni::Json;
using cni::test::contains;
using cni::test::Output;
using cni::test::TempDir;

namespace {

constexpr const char* kId = "cnitool-20b4ff582526573bbe7d";  // of /run/netns/c1

class Cnitool {
 public:
  Cnitool() {
    dir_.script("bin/fake", concat("cd ", dir_.path(), R"(
cat > stdin; env > env
echo $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME >> calls
test $CNI_COMMAND = ADD && echo '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]}'
test $CNI_COMMAND = VERSION && echo '{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}'
test -e fail && { cat fail; exit 1; }
exit 0)"));
    dir_.write("net.d/10.conflist", R"({"cniVersion": "1.1.0", "name": "net", "plugins":
      [{"type": "fake", "capabilities": {"mac": true}}]})");
  }

  Output operator()(std::vector<std::string> args, std::vector<std::string> env = {}) {
    std::vector<std::string> argv = {concat(cni::test::our_bin_dir(), "/cnitool"), "--cache-dir",
                                     dir_.path("cache")};
    argv.insert(argv.end(), args.begin(), args.end());
    for (const char* name : {"PATH=/usr/bin:/bin"}) env.emplace_back(name);
    env.push_back(concat("NETCONFPATH=", dir_.path("net.d")));
    if (set_path) env.push_back(concat("CNI_PATH=", dir_.path("bin")));
    return cni::test::run({.argv = argv, .env = env});
  }
  [[nodiscard]] std::string file(std::string_view name) const {
    const cni::Fd fd = cni::open_file_if_exists(dir_.path(name), 0);
    return fd.valid() ? cni::read_all(fd.get(), name) : "";
  }
  void write(std::string_view name, std::string_view text) { dir_.write(name, text); }
  void remove(std::string_view name) { std::filesystem::remove(dir_.path(name)); }

  bool set_path = true;

 private:
  TempDir dir_;
};

}  // namespace

TEST_CASE("cnitool add: the result with four blanks and no newline", "[cnitool]") {
  Cnitool cnitool;
  const Output output = cnitool({"add", "net", "/run/netns/c1"});
  INFO(output.text());
  REQUIRE(output.ok());
  REQUIRE(output.out ==
          "{\n    \"cniVersion\": \"1.1.0\",\n    \"ips\": [\n        {\n"
          "            \"address\": \"10.0.0.2/24\"\n        }\n    ]\n}");
  REQUIRE(output.err.empty());
  REQUIRE(cnitool.file("calls") == concat("ADD ", kId, " eth0\n"));
}

TEST_CASE("cnitool: the other verbs print nothing", "[cnitool]") {
  Cnitool cnitool;
  REQUIRE(cnitool({"add", "net", "/run/netns/c1"}).ok());
  for (const char* verb : {"check", "status", "del", "gc"}) {
    const Output output = cnitool({verb, "net", "/run/netns/c1"});
    INFO(output.text());
    REQUIRE(output.ok());
    REQUIRE(output.out.empty());
    REQUIRE(output.err.empty());
  }
  REQUIRE(cnitool.file("calls") ==
          concat("ADD ", kId, " eth0\nCHECK ", kId, " eth0\nSTATUS\nDEL ", kId, " eth0\nGC\n"));
}

TEST_CASE("cnitool: gc and status need no namespace", "[cnitool]") {
  Cnitool cnitool;
  REQUIRE(cnitool({"status", "net"}).ok());
  REQUIRE(cnitool({"gc", "net"}).ok());
  REQUIRE_FALSE(cnitool({"add", "net"}).ok());
}

TEST_CASE("cnitool: the interface name", "[cnitool]") {
  Cnitool cnitool;
  (void)cnitool({"add", "net", "/run/netns/c1"}, {"CNI_IFNAME="});
  (void)cnitool({"add", "net", "/run/netns/c1"}, {"CNI_IFNAME=net1"});
  (void)cnitool({"-i", "net2", "add", "net", "/run/netns/c1"}, {"CNI_IFNAME=net1"});
  (void)cnitool({"add", "net", "/run/netns/c1", "--ifname", "net3"});
  REQUIRE(cnitool.file("calls") == concat("ADD ", kId, " eth0\nADD ", kId, " net1\nADD ", kId,
                                          " net2\nADD ", kId, " net3\n"));
  const Output bad = cnitool({"-i", "../x", "add", "net", "/run/netns/c1"});
  REQUIRE(bad.status.code == 1);
  REQUIRE_THAT(bad.err, contains("interface name contains / or :"));
}

TEST_CASE("cnitool: the container id is of the absolute, clean path", "[cnitool]") {
  Cnitool cnitool;
  for (const char* netns : {"/run/netns/c1", "/run//netns/./x/../c1/", "//run/netns/c1"}) {
    (void)cnitool({"status", "net", netns});
    (void)cnitool({"del", "net", netns});
    REQUIRE_THAT(cnitool.file("calls"), contains(concat("DEL ", kId, " eth0\n")));
    cnitool.remove("calls");
  }
}

TEST_CASE("cnitool: CNI_ARGS and CAP_ARGS", "[cnitool]") {
  Cnitool cnitool;
  REQUIRE(cnitool({"add", "net", "/run/netns/c1"},
                  {"CNI_ARGS=A=1;B=2", R"(CAP_ARGS={"mac": "m", "ips": ["x"]})"})
              .ok());
  REQUIRE_THAT(cnitool.file("env"), contains("CNI_ARGS=A=1;B=2\n"));
  REQUIRE(Json::parse(cnitool.file("stdin")).root()["runtimeConfig"].text() == R"({"mac":"m"})");
  for (const char* bad : {"CNI_ARGS=A=hunter2;", "CNI_ARGS=A", "CNI_ARGS==hunter2",
                          "CNI_ARGS=A=", "CNI_ARGS=A=b=hunter2", "CAP_ARGS=[]", "CAP_ARGS=x"}) {
    const Output output = cnitool({"add", "net", "/run/netns/c1"}, {bad});
    REQUIRE(output.status.code == 1);
    REQUIRE_FALSE(output.err.empty());
    REQUIRE(output.err.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("cnitool: errors are text on stderr and status 1", "[cnitool]") {
  Cnitool cnitool;
  cnitool.write("fail", R"({"code": 11, "msg": "busy", "details": "by x"})");
  const Output output = cnitool({"del", "net", "/run/netns/c1"});
  REQUIRE(output.status.code == 1);
  REQUIRE(output.out.empty());
  REQUIRE(output.err == "plugin type=\"fake\" failed (delete): busy; by x\n");
  const Output unknown = cnitool({"add", "nonet", "/run/netns/c1"});
  REQUIRE(unknown.status.code == 1);
  REQUIRE_THAT(unknown.err, contains("no net configuration with name \"nonet\""));
  cnitool.set_path = false;
  REQUIRE_THAT(cnitool({"add", "net", "/run/netns/c1"}).err, contains("no paths provided"));
}

TEST_CASE("cnitool: usage errors teach on stderr", "[cnitool]") {
  Cnitool cnitool;
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{},
                                             {"add"},
                                             {"frobnicate", "net", "/run/netns/c1"},
                                             {"add", "net", "/run/netns/c1", "more"},
                                             {"--timeout", "0", "status", "net"},
                                             {"list", "net"}}) {
    const Output output = cnitool(args);
    REQUIRE(output.status.code == 1);
    REQUIRE(output.out.empty());
    REQUIRE_THAT(output.err, contains("Usage: cnitool"));
  }
  const Output help = cnitool({"--help"});
  REQUIRE(help.ok());
  REQUIRE_THAT(help.out, contains("CNI_PATH") && contains("NETCONFPATH") && contains("Examples:"));
  REQUIRE_THAT(cnitool({"gc", "--help"}).out, contains("--keep"));
  REQUIRE_THAT(cnitool({"--version"}).out, contains("cnitool (cnipp) "));
}

TEST_CASE("cnitool gc: what is kept", "[cnitool]") {
  Cnitool cnitool;
  for (const char* ifname : {"eth0", "net1"}) {
    REQUIRE(cnitool({"-i", ifname, "add", "net", "/run/netns/c1"}).ok());
  }
  REQUIRE(cnitool({"gc", "net", "--keep", kId, "--keep", "other:net5", "--keep", "third"}).ok());
  REQUIRE(Json::parse(cnitool.file("stdin")).root().exact("cni.dev/valid-attachments").text() ==
          concat(R"([{"containerID":")", kId, R"(","ifname":"eth0"},{"containerID":")", kId,
                 R"(","ifname":"net1"},{"containerID":"other","ifname":"net5"},)",
                 R"({"containerID":"third","ifname":"eth0"}])"));
  REQUIRE(cnitool.file("calls").find("DEL") == std::string::npos);
  REQUIRE(cnitool({"gc", "net", "--keep", concat(kId, ":net1")}).ok());
  REQUIRE_THAT(cnitool.file("calls"), contains(concat("DEL ", kId, " eth0\n")));
  REQUIRE(cnitool({"gc", "net"}).ok());
  REQUIRE(Json::parse(cnitool.file("stdin")).root().exact("cni.dev/valid-attachments").text() ==
          "[]");
  REQUIRE(cnitool({"gc", "net", "--keep", "../x"}).status.code == 1);
}

TEST_CASE("cnitool del: works with the kept configuration when the file is gone", "[cnitool]") {
  Cnitool cnitool;
  REQUIRE(cnitool({"add", "net", "/run/netns/c1"}).ok());
  cnitool.remove("net.d/10.conflist");
  const Output output = cnitool({"del", "net", "/run/netns/c1"});
  REQUIRE(output.ok());
  REQUIRE_THAT(output.err, contains("using the configuration kept at ADD"));
  REQUIRE_THAT(cnitool.file("calls"), contains("DEL "));
  REQUIRE(cnitool({"del", "net", "/run/netns/c1"}).status.code == 1);
}

TEST_CASE("cnitool list: networks as text and JSON, broken files on stderr", "[cnitool]") {
  Cnitool cnitool;
  cnitool.write("net.d/00.conflist", "{");
  const Output text = cnitool({"list"});
  REQUIRE(text.ok());
  REQUIRE_THAT(text.out, contains("NETWORK") && contains("net      1.1.0    fake"));
  REQUIRE_THAT(text.err, contains("not usable: ") && contains("00.conflist"));
  const Json json = Json::parse(cnitool({"list", "--json"}).out);
  const cni::JsonRef first = json.root().items()[0];
  REQUIRE(first["name"].string() == "net");
  REQUIRE(first["plugins"].strings() == std::vector<std::string>{"fake"});
  REQUIRE_THAT(first["file"].string(), contains("net.d/10.conflist"));
}

TEST_CASE("cnitool show: attachments as text and JSON", "[cnitool]") {
  Cnitool cnitool;
  REQUIRE(Json::parse(cnitool({"show", "--json"}).out).size() == 0);
  REQUIRE(cnitool({"add", "net", "/run/netns/c1"}).ok());
  REQUIRE(cnitool({"add", "net", "/proc/self/ns/net"}).ok());
  REQUIRE_THAT(cnitool({"show"}).out, contains(kId) && contains("10.0.0.2/24"));
  const Json json = Json::parse(cnitool({"show", "net", "--json"}).out);
  REQUIRE(json.size() == 2);
  for (const cni::JsonRef& item : json.root().items()) {
    const bool is_c1 = item["containerID"].string() == kId;
    REQUIRE(item["alive"].bool_or(is_c1) != is_c1);
    REQUIRE(item["addresses"].strings() == std::vector<std::string>{"10.0.0.2/24"});
  }
  REQUIRE(Json::parse(cnitool({"show", "other", "--json"}).out).size() == 0);
}

TEST_CASE("cnitool version: what the plugins support, and whether that is enough", "[cnitool]") {
  Cnitool cnitool;
  const Output output = cnitool({"version", "net"});
  REQUIRE(output.ok());
  REQUIRE_THAT(output.out, contains("fake    1.1.0"));
  cnitool.write("net.d/20.conflist",
                R"({"cniVersion": "0.4.0", "name": "old", "plugins": [{"type": "fake"}]})");
  const Output old = cnitool({"version", "old", "--json"});
  REQUIRE(old.status.code == 1);
  REQUIRE(Json::parse(old.out).root().items()[0]["supportedVersions"].text() == R"(["1.1.0"])");
  REQUIRE_THAT(old.err, contains("not supported by: fake"));
}
