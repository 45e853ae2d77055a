// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// ADD is a transaction: whichever of its system calls fails, nothing is left, and the next ADD
// works. strace makes the calls fail; the plugin knows nothing of it.
#include <unistd.h>

#include <csignal>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr int kMaxOccurrences = 400;

/// The first ones all, then every fourth.
int after(int n) { return n + (n < 5 || sweep_is_full() ? 1 : 4); }

struct Fault {
  const char* call;
  const char* error;
};

void require_strace() {
  const Output output = run({.argv = {"sh", "-c", "strace -o /dev/null -e trace=none true"}});
  if (!output.ok()) skip("strace is missing, or may not trace here");
}

/// Runs the program with the n-th occurrence of the call failing. False in `injected` when there
/// are not so many.
Output run_with_fault(const TestHost& host, Command command, const Fault& fault, int n,
                      bool& injected) {
  const std::string log = cni::concat(host.scratch(), "/strace.log");
  const std::vector<std::string> prefix = {
      "strace",
      "-o",
      log,
      "-e",
      cni::concat("trace=", fault.call),
      "-e",
      cni::concat("inject=", fault.call, ":error=", fault.error, ":when=", n)};
  command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
  Output output = run(command);
  injected = cni::read_file(log).find("(INJECTED)") != std::string::npos;
  return output;
}

/// Every n of one call: after each failure host and container are as before, and ADD works.
int sweep_call(const TestHost& host, const Attachment& attachment, const TestSandbox& sandbox,
               const Fault& fault, const std::vector<std::string>& others) {
  // What a first ADD leaves for good: directories, lock files.
  attachment.add();
  attachment.del();
  REQUIRE(run_gc(attachment.conf, others).ok());
  wait_for_addresses();
  const Snapshot host_before = without_hints(snapshot_host());
  const Snapshot container_before = snapshot_network(sandbox.net());
  int n = 1, points = 0;
  for (; n <= kMaxOccurrences; n = after(n)) {
    bool injected = false;
    const Output output = run_with_fault(host, attachment.command("ADD"), fault, n, injected);
    INFO(fault.call << " #" << n << " " << fault.error << ": " << output.text());
    if (!injected) {
      CHECK(output.ok());
      break;
    }
    ++points;
    // A process that cannot leave the container's namespace ends at once, without undoing: what it
    // did would happen in the wrong place. DEL and GC then do it.
    if (output.status.signal == SIGABRT) {
      attachment.del();
      CHECK(run_gc(attachment.conf, others).ok());
    }
    if (!output.ok()) {
      CHECK(difference(host_before, without_hints(snapshot_host())) == "");
      CHECK(difference(container_before, snapshot_network(sandbox.net())) == "");
      CHECK(processes_here().empty());
      const Output next = attachment.run("ADD");
      INFO("the next ADD: " << next.text());
      CHECK(next.ok());
    }
    attachment.del();
    CHECK(run_gc(attachment.conf, others).ok());
  }
  CHECK(attachment.run("DEL").ok());
  REQUIRE(n <= kMaxOccurrences);
  return points;
}

/// On a host without a bridge, or on one where the bridge has another port.
enum class Bridge { kNone, kInUse };

const std::string kPtp =
    plugin_conf("ptp", R"("ipMasq":true,"ipam":{"type":"host-local",)"
                       R"("ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]],)"
                       R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})");

void sweep_ptp(const Fault& fault) {
  require_strace();
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = kPtp, .netns = sandbox.path(), .plugin = "ptp"};
  const int points = sweep_call(host, attachment, sandbox, fault, {});
  WARN("ptp: swept " << points << " x " << fault.call);
}

void sweep(const Fault& fault, Bridge bridge = Bridge::kNone) {
  require_strace();
  const TestHost host;
  host.enable_forwarding();
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  const TestSandbox neighbour("c0"), sandbox("c1");
  const std::string conf = bridge_conf(kDualStack);
  std::vector<std::string> others;
  if (bridge == Bridge::kInUse) {
    others = {"c0"};
    Attachment{.conf = conf, .netns = neighbour.path(), .id = "c0"}.add();
  }
  const Attachment attachment{.conf = conf, .netns = sandbox.path()};
  const int points = sweep_call(host, attachment, sandbox, fault, others);
  WARN("swept " << points << " x " << fault.call);
}

}  // namespace

TEST_CASE("fault sweep: a failed netlink request leaves nothing", "[sweep]") {
  const auto call = GENERATE(as<Fault>{}, Fault{"sendmsg", "ENOMEM"}, Fault{"recvfrom", "ENOMEM"},
                             Fault{"socket", "EMFILE"}, Fault{"setsockopt", "ENOMEM"});
  sweep(call);
}

TEST_CASE("fault sweep: a failed file or namespace operation leaves nothing", "[sweep]") {
  const auto call = GENERATE(as<Fault>{}, Fault{"openat", "ENFILE"}, Fault{"setns", "EPERM"},
                             Fault{"memfd_create", "ENOMEM"}, Fault{"read", "EIO"},
                             Fault{"fstat,newfstatat", "EIO"});
  sweep(call);
}

TEST_CASE("fault sweep: a result that cannot be written leaves nothing", "[sweep]") {
  // The bridge was made for good by then: it stays, as after DEL.
  sweep({"write", "ENOSPC"}, Bridge::kInUse);
}

TEST_CASE("fault sweep: nothing is left on a bridge that others use", "[sweep]") {
  const auto call = GENERATE(as<Fault>{}, Fault{"sendmsg", "EPERM"}, Fault{"recvfrom", "ENOBUFS"});
  sweep(call, Bridge::kInUse);
}

TEST_CASE("fault sweep: a failed request or file operation of ptp leaves nothing", "[sweep]") {
  const auto call = GENERATE(as<Fault>{}, Fault{"sendmsg", "ENOMEM"}, Fault{"recvfrom", "ENOBUFS"},
                             Fault{"openat", "ENFILE"}, Fault{"setns", "EPERM"},
                             Fault{"write", "ENOSPC"}, Fault{"vfork", "EAGAIN"});
  sweep_ptp(call);
}

TEST_CASE("fault sweep: an IPAM plugin that cannot be started leaves nothing", "[sweep]") {
  const auto call = GENERATE(as<Fault>{}, Fault{"vfork", "EAGAIN"}, Fault{"pipe2", "EMFILE"},
                             Fault{"poll", "ENOMEM"}, Fault{"wait4", "EINTR"});
  sweep(call);
}

TEST_CASE("fault sweep: an IPAM plugin that fails leaves nothing", "[sweep]") {
  require_strace();
  const TestHost host;
  host.enable_forwarding();
  const TestSandbox sandbox("c1");
  Attachment attachment{.conf = bridge_conf(kDualStack), .netns = sandbox.path()};
  const std::string point = cni::concat(host.scratch(), "/inject"),
                    log = cni::concat(host.scratch(), "/strace.log");
  attachment.plugin_path =
      install_script(host, "host-local",
                     cni::concat("[ $CNI_COMMAND = ADD ] && [ -f ", point, " ] || exec ",
                                 our_bin_dir(), "/host-local\nexec strace -o ", log,
                                 " -e inject=$(cat ", point, ") ", our_bin_dir(), "/host-local\n"));
  attachment.add();
  attachment.del();
  REQUIRE(run_gc(attachment.conf, {}).ok());
  const Snapshot before = without_hints(snapshot_host());
  int points = 0;
  for (const Fault fault : {Fault{"openat", "ENFILE"}, Fault{"write", "ENOSPC"},
                            Fault{"flock", "ENOLCK"}, Fault{"linkat,link,rename,renameat", "EIO"},
                            Fault{"fsync,fdatasync", "EIO"}, Fault{"getdents64", "EIO"}}) {
    for (int n = 1; n <= kMaxOccurrences; n = after(n)) {
      cni::write_file_atomically(
          point, cni::concat(fault.call, ":error=", fault.error, ":when=", n), 0644);
      const Output output = attachment.run("ADD");
      INFO(fault.call << " #" << n << " of host-local: " << output.text());
      const bool injected = cni::read_file(log).find("(INJECTED)") != std::string::npos;
      ::unlink(point.c_str());
      if (!output.ok()) {
        CHECK(difference(before, without_hints(snapshot_host())) == "");
        CHECK(attachment.run("ADD").ok());
      }
      attachment.del();
      CHECK(leases_of().empty());
      CHECK(run_gc(attachment.conf, {}).ok());
      if (!injected) break;
      ++points;
    }
  }
  WARN("swept " << points << " calls of host-local");
}
