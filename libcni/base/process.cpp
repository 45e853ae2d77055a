// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"

namespace cni {
namespace {

constexpr int kBusyRetries = 100;
constexpr off_t kMaxErrors = 1 << 20;
constexpr std::size_t kMaxWords = 1000;
constexpr long kBusyPauseNs = 20'000'000;

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

/// Instead of a pipe: the child may exit without reading, and neither side blocks.
Fd memory_file(const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd.valid()) throw_errno(concat("create ", name));
  return fd;
}

Fd input_file(std::string_view input) {
  Fd fd = memory_file("cni-stdin");
  write_all(fd.get(), input, "the stdin of a delegate");
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) throw_errno("rewind the stdin of a delegate");
  return fd;
}

struct Launch {
  const char* path;
  char* const* argv;
  char* const* env;
  int in;
  int out;
  int errors;
  int parent;
};

// Runs in the child between vfork and exec: async-signal-safe calls only. Returns an errno.
int become(const Launch& l) {
  // The signal is sent when the parent *thread* ends; plugins have one thread.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (::getppid() != l.parent) return ESRCH;
  // Ignored by us; a disposition survives exec.
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGXFSZ, SIG_DFL);
  if (::dup2(l.in, STDIN_FILENO) < 0 || ::dup2(l.out, STDOUT_FILENO) < 0 ||
      ::dup2(l.errors, STDERR_FILENO) < 0) {
    return errno;
  }
  ::execve(l.path, l.argv, l.env);
  return errno;
}

int spawn(const Launch& launch, int& error_number) {
  volatile int child_errno = 0;  // vfork shares our memory: how the child reports a failed exec
  const int pid = ::vfork();
  if (pid == 0) {
    child_errno = become(launch);
    ::_exit(127);
  }
  error_number = pid < 0 ? errno : child_errno;
  if (pid > 0 && error_number != 0) {
    ::waitpid(pid, nullptr, 0);
    return -1;
  }
  return pid;
}

}  // namespace

std::string ExitStatus::text() const {
  return signal != 0 ? concat("killed by signal ", signal) : concat("exit status ", code);
}

Child Child::start(const std::string& path, const std::vector<std::string>& argv,
                   const std::vector<std::string>& env, std::string_view input) {
  const Fd in = input_file(input);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno(concat("create a pipe for ", quote(path)));
  Fd errors = memory_file("cni-stderr");
  Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  const std::vector<char*> argp = pointers(argv);
  const std::vector<char*> envp = pointers(env);
  const Launch launch{path.c_str(),    argp.data(),  envp.data(), in.get(),
                      write_end.get(), errors.get(), ::getpid()};

  for (int tries = 0;; ++tries) {
    int error_number = 0;
    const int pid = spawn(launch, error_number);
    if (pid > 0) return Child(pid, std::move(read_end), std::move(errors), path);
    if (error_number != ETXTBSY || tries >= kBusyRetries || Deadline::passed()) {
      throw KernelError(error_number, concat("execute ", quote(path)), {}, ErrorCode::kDelegate);
    }
    const timespec pause{0, kBusyPauseNs};
    ::nanosleep(&pause, nullptr);
  }
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)),
      path_(std::move(other.path_)),
      words_(std::move(other.words_)) {}

Child::~Child() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

ExitStatus Child::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  pass_on_errors();
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

void Child::pass_on_errors() noexcept {
  try {
    const off_t size = ::lseek(errors_.get(), 0, SEEK_END);
    if (size <= 0) return;
    ::lseek(errors_.get(), std::max<off_t>(0, size - kMaxErrors), SEEK_SET);
    const std::string text = read_all(errors_.get(), "the stderr of a delegate");
    words_ = text.substr(text.size() - std::min(text.size(), kMaxWords));
    std::ranges::replace_if(
        words_, [](char c) { return c >= 0 && c < ' '; }, ' ');
    words_.erase(words_.find_last_not_of(' ') + 1);
    log::raw(text);
  } catch (const std::exception&) {
    // They were for people to read: nothing depends on them.
  }
}

/// Closing stdout is not yet the end: a child may go on, and not for longer than the deadline.
ExitStatus Child::wait_for_exit() {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!process.valid()) throw_errno(concat("wait for ", quote(path_)));
  for (;;) {
    pollfd ended{process.get(), POLLIN, 0};
    const int n = ::poll(&ended, 1, static_cast<int>(Deadline::remaining().count()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(concat("wait for ", quote(path_)));
    if (n > 0) return reap();
    kill_late();
  }
}

void Child::kill_late() {
  ::kill(pid_, SIGKILL);
  reap();
  Deadline::expired(concat(quote(path_), " did not end"));
}

ExitStatus Child::wait(std::string& output) {
  char buffer[16384];
  for (;;) {
    pollfd ready{output_.get(), POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(Deadline::remaining().count()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(concat("wait for ", quote(path_)));
    if (n == 0) kill_late();
    const ssize_t got = ::read(output_.get(), buffer, sizeof buffer);
    if (got == 0) return wait_for_exit();
    if (got < 0 && errno != EINTR) throw_errno(concat("read the output of ", quote(path_)));
    if (got > 0) output.append(buffer, static_cast<std::size_t>(got));
    if (output.size() > kMaxReadBytes) {
      throw Error(ErrorCode::kDelegate, concat("the output of ", quote(path_), " is too long"));
    }
  }
}

RunResult run_process(const std::string& path, const std::vector<std::string>& argv,
                      const std::vector<std::string>& env, std::string_view input) {
  RunResult result;
  Child child = Child::start(path, argv, env, input);
  result.status = child.wait(result.output);
  result.words = child.words();
  return result;
}

std::vector<std::string> current_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    out.emplace_back(*entry);
  }
  return out;
}

}  // namespace cni
