// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ipam/traced.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/fd.h"
#include "support/catch.h"

namespace cni::test {
namespace {

constexpr int kNoRight = 77;

/// Starts the call after `prepare`, which says whether it could.
pid_t start(const Call& call, const std::string& conf, const std::function<bool()>& prepare) {
  const Fd input(::memfd_create("conf", MFD_CLOEXEC));
  write_all(input.get(), conf, "conf");
  REQUIRE(::lseek(input.get(), 0, SEEK_SET) == 0);
  const Fd nowhere = open_file("/dev/null", O_WRONLY);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid > 0) return pid;
  std::vector<std::string> env = environment_of(call);
  std::vector<char*> pointers;
  for (std::string& entry : env) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  std::string binary = call.binary;
  char* argv[] = {binary.data(), nullptr};
  ::dup2(input.get(), STDIN_FILENO);
  ::dup2(nowhere.get(), STDOUT_FILENO);
  if (!prepare()) ::_exit(kNoRight);
  ::execve(argv[0], argv, pointers.data());
  ::_exit(kNoRight + 1);
}

int wait_for(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoRight) skip("no right to trace or filter");
  return status;
}

bool install(const std::vector<Refusal>& refusals) {
  std::vector<sock_filter> code;
  for (const Refusal& refusal : refusals) {
    const auto argument =
        static_cast<unsigned>(offsetof(seccomp_data, args) + 8 * refusal.argument);
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    code.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(refusal.number), 0, 4));
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument));
    code.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, refusal.mask));
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refusal.mask, 0, 1));
    code.push_back(
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(refusal.error)));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Lets it run until visit(process, number of the stop) says to end it. The exit status when it
/// ended by itself.
std::optional<int> trace(const Call& call, const std::string& conf,
                         const std::vector<Refusal>& refusals,
                         const std::function<bool(pid_t, int)>& visit) {
  const pid_t pid = start(call, conf, [&] {
    return (refusals.empty() || install(refusals)) &&
           ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0;
  });
  int status = wait_for(pid);
  if (WIFSTOPPED(status)) {
    REQUIRE(::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD) == 0);
  }
  for (int stop = 0; WIFSTOPPED(status); ++stop) {
    if (visit(pid, stop)) {
      ::kill(pid, SIGKILL);
      wait_for(pid);
      return std::nullopt;
    }
    REQUIRE(::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) == 0);
    status = wait_for(pid);
  }
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/// What `size` bytes at an address of the process hold, or as many as can be read.
std::string peek(pid_t process, std::uint64_t address, std::size_t size) {
  std::string out(size, '\0');
  const iovec here{out.data(), out.size()};
  const iovec there{reinterpret_cast<void*>(address), size};
  const ssize_t got = ::process_vm_readv(process, &here, 1, &there, 1, 0);
  out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return out;
}

}  // namespace

bool kill_at(const Call& call, const std::string& conf, int n) {
  return !trace(call, conf, {}, [n](pid_t, int stop) { return stop == n; });
}

int count_system_calls(const Call& call, const std::string& conf) {
  int stops = 0;
  trace(call, conf, {}, [&](pid_t, int stop) {
    stops = stop;
    return false;
  });
  return stops / 2;
}

std::string SystemCall::bytes(std::size_t argument, std::size_t size) const {
  std::string out = peek(process, arguments.at(argument), size);
  REQUIRE(out.size() == size);
  return out;
}

std::string SystemCall::text(std::size_t argument) const {
  constexpr std::uint64_t kPage = 4096;
  std::string out;
  for (std::uint64_t at = arguments.at(argument);; at += kPage - at % kPage) {
    const std::string part = peek(process, at, kPage - at % kPage);  // what follows may not be ours
    REQUIRE_FALSE(part.empty());
    const auto end = part.find('\0');
    out += part.substr(0, end);
    if (end != part.npos) return out;
  }
}

void watch(const Call& call, const std::string& conf, const std::vector<Refusal>& refusals,
           const std::function<void(const SystemCall&)>& visit) {
  SystemCall current;
  const auto status = trace(call, conf, refusals, [&](pid_t pid, int) {
    __ptrace_syscall_info info{};
    REQUIRE(::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      current.process = pid;
      current.number = static_cast<long>(info.entry.nr);
      std::copy_n(info.entry.args, current.arguments.size(), current.arguments.begin());
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && current.number >= 0) {
      current.result = info.exit.rval;
      visit(current);
    }
    return false;
  });
  REQUIRE(status == 0);
}

int run_refusing(const Call& call, const std::string& conf, const std::vector<Refusal>& refusals) {
  const int status = wait_for(start(call, conf, [&] { return install(refusals); }));
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace cni::test
