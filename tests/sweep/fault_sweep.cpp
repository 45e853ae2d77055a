// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// ADD is a transaction: whichever of its system calls fails, nothing is left, and the next ADD
// works. DEL and GC may fail then, but the same call again leaves nothing.
#include <csignal>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/fd.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"
#include "sweep/ground.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace fs = std::filesystem;

namespace {

/// After an ADD that failed: nothing is left, and the next one works.
std::string problem_of_failed_add(const Ground& on, const Output& output) {
  // The record of an ADD that has succeeded: it is taken back by DEL, which leaves what is shared.
  const bool had_succeeded = output.out.find("/run/cnipp/attachments") != std::string::npos;
  // A process that cannot leave the container's namespace ends at once, without undoing: what it
  // did would happen in the wrong place. DEL and GC then do it.
  const bool aborted = output.status.signal == SIGABRT;
  const std::string left = aborted         ? on.clean_up({"DEL", "GC"})
                           : had_succeeded ? on.clean_up({"GC"})
                                           : on.leftovers();
  return left + failure("the next ADD", on.caller("ADD").run("ADD"));
}

/// One call that may have failed, and what must hold after it.
std::string judge(const Ground& on, const std::string& verb, const Output& output) {
  std::string problem = on.early_release(verb);
  if (verb != "ADD") {
    problem += output.ok() ? on.leftovers() : on.clean_up({verb});
  } else if (!output.ok()) {
    problem += problem_of_failed_add(on, output);
  }
  return problem + on.clean_up({"DEL", "GC"});
}

void sweep(const Ground& on, const std::string& verb, const Victim& victim, const Fault& fault) {
  const Around around{.prepare = [&] { on.prepare(verb); },
                      .clean_up = [&](const Output& output) { return judge(on, verb, output); }};
  (void)fail_calls(victim, around, fault, 8);
}

void sweep(const Ground& on, const std::string& verb, const Fault& fault) {
  sweep(on, verb, on.victim(verb), fault);
}

void sweep_plugin(const std::string& verb, const Fault& fault) {
  // An ADD that makes the bridge takes that back too.
  sweep(Ground("", verb == "ADD" ? Ground::Bridge::kNone : Ground::Bridge::kInUse), verb, fault);
}

}  // namespace

TEST_CASE("fault sweep: a failed netlink request leaves nothing", "[sweep]") {
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const auto fault = GENERATE(as<Fault>{}, Fault{"sendmsg", "ENOMEM"}, Fault{"recvfrom", "ENOMEM"},
                              Fault{"socket", "EMFILE"}, Fault{"setsockopt", "ENOMEM"});
  sweep_plugin(verb, fault);
}

TEST_CASE("fault sweep: a failed file or namespace operation leaves nothing", "[sweep]") {
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const auto fault = GENERATE(as<Fault>{}, Fault{"openat", "ENFILE"}, Fault{"setns", "EPERM"},
                              Fault{"memfd_create", "ENOMEM"}, Fault{"read", "EIO"},
                              Fault{"flock", "ENOLCK"}, Fault{"fstat,newfstatat", "EIO"},
                              Fault{"openat2", "ENFILE"}, Fault{"pwrite64", "EIO"});
  sweep_plugin(verb, fault);
}

TEST_CASE("fault sweep: a failed request or file operation of ptp leaves nothing", "[sweep]") {
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const auto fault = GENERATE(as<Fault>{}, Fault{"sendmsg", "ENOMEM"}, Fault{"recvfrom", "ENOBUFS"},
                              Fault{"openat", "ENFILE"}, Fault{"setns", "EPERM"});
  const Ground on("", Ground::Bridge::kInUse, "ptp");
  sweep(on, verb, fault);
}

TEST_CASE("fault sweep: an IPAM plugin that cannot be started leaves nothing", "[sweep]") {
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const auto fault = GENERATE(as<Fault>{}, Fault{"vfork", "EAGAIN"}, Fault{"pipe2", "EMFILE"},
                              Fault{"poll", "ENOMEM"}, Fault{"wait4", "EINTR"});
  const std::string plugin = GENERATE("bridge", "ptp");
  Ground on("", Ground::Bridge::kInUse, plugin);
  on.set_plugin_path(install_ipam_copy(on.host()));
  sweep(on, verb, fault);
}

TEST_CASE("fault sweep: a result that cannot be written leaves nothing", "[sweep]") {
  // The bridge was made for good by then: it stays, as after DEL.
  const std::string plugin = GENERATE("bridge", "ptp");
  const Ground on("", Ground::Bridge::kInUse, plugin);
  sweep(on, "ADD", {"write", "ENOSPC"});
}

TEST_CASE("fault sweep: nothing is left on a bridge that others use", "[sweep]") {
  const auto fault = GENERATE(as<Fault>{}, Fault{"sendmsg", "EPERM"}, Fault{"recvfrom", "ENOBUFS"});
  const Ground on;
  sweep(on, "ADD", fault);
}

TEST_CASE("fault sweep: an IPAM plugin that fails leaves nothing", "[sweep]") {
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const auto fault =
      GENERATE(as<Fault>{}, Fault{"openat", "ENFILE"}, Fault{"write", "ENOSPC"},
               Fault{"flock", "ENOLCK"}, Fault{"linkat,link,rename,renameat", "EIO"},
               Fault{"unlinkat", "EIO"}, Fault{"pwrite64", "ENOSPC"}, Fault{"getdents64", "EIO"});
  const Ground on;
  sweep(on, verb, on.ipam_victim(verb), fault);
}

TEST_CASE("fault sweep: masquerading with iptables", "[sweep]") {
  if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  const auto fault = GENERATE(as<Fault>{}, Fault{"sendmsg", "ENOMEM"}, Fault{"recvfrom", "ENOMEM"},
                              Fault{"vfork", "EAGAIN"}, Fault{"pipe2", "EMFILE"},
                              Fault{"poll", "ENOMEM"}, Fault{"memfd_create", "ENOMEM"});
  const Ground on(R"("ipMasqBackend":"iptables")");
  sweep(on, verb, fault);
}

TEST_CASE("fault sweep: iptables-save or -restore fails", "[sweep]") {
  if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
  const std::string verb = GENERATE("ADD", "DEL", "GC");
  Ground on(R"("ipMasqBackend":"iptables")");
  const std::string countdown = cni::concat(on.host().scratch(), "/countdown");
  const std::string usual = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  for (const char* const name :
       {"iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"}) {
    install_script(on.host(), name,
                   cni::concat("n=$(cat ", countdown, " || echo 0)\necho $((n - 1)) > ", countdown,
                               "\n[ $n = 1 ] && exit 4\n", usual, " exec ", name, " \"$@\"\n"));
  }
  on.set_environment({cni::concat("PATH=", on.host().scratch(), "/bin:", usual.substr(5))});
  bool reached = true;
  for (int n = 1; reached; ++n) {
    on.prepare(verb);
    cni::write_file_atomically(countdown, cni::concat(n), 0644);
    const Output output = on.caller(verb).run(verb);
    INFO(verb << ", program " << n << " fails: " << output.text());
    reached = std::stoi(cni::read_file(countdown)) <= 0;
    fs::remove(countdown);
    CHECK(output.ok() != reached);
    CHECK(judge(on, verb, output) == "");
    REQUIRE(n < 20);
  }
}
