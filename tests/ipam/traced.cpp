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
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

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

/// Lets it run until visit(number of the stop) says to end it. False when it ended by itself.
bool trace(const Call& call, const std::string& conf, const std::function<bool(int)>& visit) {
  const pid_t pid =
      start(call, conf, [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; });
  int status = wait_for(pid);
  for (int stop = 0; WIFSTOPPED(status); ++stop) {
    if (visit(stop)) {
      ::kill(pid, SIGKILL);
      wait_for(pid);
      return true;
    }
    REQUIRE(::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) == 0);
    status = wait_for(pid);
  }
  REQUIRE(WIFEXITED(status));
  return false;
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

}  // namespace

bool kill_at(const Call& call, const std::string& conf, int n) {
  return trace(call, conf, [n](int stop) { return stop == n; });
}

int count_system_calls(const Call& call, const std::string& conf) {
  int stops = 0;
  trace(call, conf, [&](int stop) {
    stops = stop;
    return false;
  });
  return stops / 2;
}

int run_refusing(const Call& call, const std::string& conf, const std::vector<Refusal>& refusals) {
  const int status = wait_for(start(call, conf, [&] { return install(refusals); }));
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace cni::test
