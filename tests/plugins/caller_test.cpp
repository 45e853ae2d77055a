// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What the caller left full, ignored or blocked.
#include <sys/stat.h>

#include "base/concat.h"
#include "base/file_lock.h"
#include "plugins/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::Attachment;
using cni::test::bridge_conf;
using cni::test::code_of;
using cni::test::Command;
using cni::test::contains;
using cni::test::difference;
using cni::test::install_script;
using cni::test::kDualStack;
using cni::test::leases_of;
using cni::test::message_of;
using cni::test::Output;
using cni::test::ports_of;
using cni::test::run;
using cni::test::Snapshot;
using cni::test::snapshot_host;
using cni::test::TestHost;
using cni::test::TestSandbox;

namespace {

Command under(Command command, const std::vector<std::string>& prefix) {
  command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
  return command;
}

}  // namespace

TEST_CASE("stdout is a full pipe that nobody reads: the ADD is taken back", "[caller]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment attachment{
      .conf = bridge_conf(kDualStack), .netns = sandbox.path(), .env = {"CNI_TIMEOUT_SECONDS=2"}};
  attachment.add();
  attachment.del();
  const Snapshot before = snapshot_host().only("nft");
  REQUIRE(::mkfifo("/run/full", 0600) == 0);
  const Output output =
      run(under(attachment.command("ADD"), {"/bin/sh", "-c",
                                            "exec 3<>/run/full; dd if=/dev/zero of=/run/full "
                                            "bs=65536 count=1 oflag=nonblock status=none;"
                                            " exec \"$0\" \"$@\" >&3"}));
  INFO(output.text());
  CHECK(output.status.code == 1);
  CHECK(difference(before, snapshot_host().only("nft")) == "");
  CHECK(ports_of("cni0").empty());
  CHECK(leases_of().empty());
}

TEST_CASE("SIGCHLD ignored by the caller: how a delegate ended is known", "[caller]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const std::string path = install_script(host, "failing", "echo no such luck >&2; exit 3");
  const Attachment attachment{.conf = bridge_conf(R"("ipam":{"type":"failing"})"),
                              .netns = sandbox.path(),
                              .plugin_path = path};
  const Output output = run(under(attachment.command("DEL"), {"env", "--ignore-signal=CHLD"}));
  INFO(output.text());
  CHECK(code_of(output) == 103);
  CHECK_THAT(message_of(output), contains("exit status 3, stderr: no such luck"));
}

TEST_CASE("SIGALRM blocked by the caller: a lock is waited for until the deadline", "[caller]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment attachment{
      .conf = bridge_conf(kDualStack), .netns = sandbox.path(), .env = {"CNI_TIMEOUT_SECONDS=1"}};
  attachment.add();
  const auto lock = cni::FileLock::acquire("/var/lib/cni/networks/net1/lock");
  const Output output = run(under(attachment.command("DEL"), {"env", "--block-signal=ALRM"}));
  INFO(output.text());
  CHECK(code_of(output) == 11);
}

TEST_CASE("iptables fails: its words are in the error", "[caller]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const std::string path = install_script(host, "iptables-restore",
                                          "cat > /dev/null; echo \"line 7 failed\" >&2; exit 4");
  Attachment attachment{
      .conf = bridge_conf(concat(kDualStack, R"(,"ipMasqBackend":"iptables")")),
      .netns = sandbox.path(),
      .env = {concat("PATH=", path.substr(0, path.find(':')), ":/usr/sbin:/usr/bin:/sbin:/bin")}};
  const Output output = attachment.run("ADD");
  INFO(output.text());
  CHECK(code_of(output) == 100);
  CHECK_THAT(message_of(output), contains("iptables-restore failed: exit status 4"));
  CHECK_THAT(message_of(output), contains("line 7 failed"));
}
