// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// All plugins are one file: which of them runs, and when the IPAM plugin is called in the process
// of the plugin that delegates to it.
#include <filesystem>

#include "base/concat.h"
#include "base/fd.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

namespace fs = std::filesystem;

constexpr const char* kMembers =
    R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/30"}]]})";

Output called_as(const std::string& path, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), path);
  return run({.argv = std::move(arguments), .env = {"CNI_COMMAND="}});
}

// How many programs the ADD started, itself included.
int programs(const TestHost& host, const Attachment& attachment) {
  const std::string log = concat(host.scratch(), "/log");
  Command command = attachment.command("ADD");
  const std::vector<std::string> strace = {"strace", "-f", "-qq", "-e", "trace=execve", "-o", log};
  command.argv.insert(command.argv.begin(), strace.begin(), strace.end());
  const Output output = run(command);
  INFO(output.text());
  REQUIRE(output.ok());
  const std::string text = cni::read_file(log);
  int count = 0;
  for (auto at = text.find("execve("); at != text.npos; at = text.find("execve(", at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("suite: the name it is called by says which plugin runs", "[scenario]") {
  const TestHost host;
  const std::string suite = concat(our_bin_dir(), "/cnipp");
  const std::string copy = concat(host.scratch(), "/bridge");
  fs::copy_file(suite, copy);
  CHECK(called_as(copy, {}).err.starts_with("CNI bridge plugin"));
  CHECK(called_as(concat(our_bin_dir(), "/portmap"), {"bridge"}).err.starts_with("CNI portmap "));
  CHECK(called_as(suite, {"tuning"}).err.starts_with("CNI tuning plugin"));

  const Output unknown = called_as(suite, {"nonsense"});
  CHECK(unknown.status.code == 1);
  CHECK(unknown.json().root()["code"].integer(0, 999).value() == 4);
  CHECK(unknown.json().root()["msg"].string().find("\"cnipp\"") != std::string::npos);
  CHECK(unknown.json().root()["details"].string().find("host-local") != std::string::npos);
}

TEST_CASE("suite: an IPAM plugin of the same file needs no process, another file one",
          "[scenario]") {
  const TestHost host;
  if (!run({.argv = {"strace", "-o", "/dev/null", "true"}}).ok()) skip("strace may not trace here");
  const TestSandbox sandbox("c1");
  Attachment one{.conf = plugin_conf("bridge", kMembers), .netns = sandbox.path()};
  CHECK(programs(host, one) == 1);
  REQUIRE(one.run("DEL").ok());

  one.plugin_path = install_ipam_copy(host);
  CHECK(programs(host, one) == 2);
  REQUIRE(one.run("DEL").ok());
}

TEST_CASE("suite: a called IPAM plugin's errors and log lines are its own", "[scenario]") {
  const TestHost host;
  const TestSandbox first("c1"), second("c2");
  const std::string conf = plugin_conf("bridge", kMembers);
  const std::vector<std::string> env = {"CNI_LOG_LEVEL=debug"};
  const Attachment early{.conf = conf, .netns = first.path(), .id = "c1", .env = env};
  const Output taken = early.run("ADD");  // the only address
  REQUIRE(taken.ok());
  CHECK(taken.err.find("plugin=host-local verb=ADD") != std::string::npos);
  CHECK(taken.err.find("plugin=bridge verb=ADD") != std::string::npos);
  const Snapshot before = snapshot_host().only("nft file");
  const Attachment late{.conf = conf, .netns = second.path(), .id = "c2", .env = env};
  const Output refused = late.run("ADD");
  CHECK(refused.json().root()["code"].integer(0, 999).value() == 11);
  CHECK(refused.json().root()["msg"].string().find("10.1.2.1") != std::string::npos);
  CHECK(difference(before, snapshot_host().only("nft file")) == "");
}
