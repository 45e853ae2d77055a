// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni {
namespace {

std::string real_input() {
  try {
    return read_all_in_time(STDIN_FILENO, "stdin");
  } catch (const KernelError& error) {
    const bool too_long = error.is(std::errc::file_too_large);
    throw Error(too_long ? ErrorCode::kInvalidConfig : ErrorCode::kIo,
                concat("error reading from stdin: ", error.what()));
  }
}

/// An ADD of whose result nobody has heard: nobody would ever DEL it.
void take_back(const Plugin& plugin, Environment environment, const std::string& input) {
  environment.set("CNI_COMMAND", text(Command::kDel));
  std::string out;
  std::string err;
  const auto same_input = [&] { return input; };
  run(plugin, environment, same_input, out, err);
}

/// A descriptor 0, 1 or 2 that the caller closed would become our next file or socket, and our
/// output would go there. Occupied by the wrong end of a pipe it fails reads and writes as a closed
/// one does.
void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    int ends[2];
    if (::pipe(ends) != 0) continue;
    const int wrong_end = fd == STDIN_FILENO ? ends[1] : ends[0];
    const int other_end = fd == STDIN_FILENO ? ends[0] : ends[1];
    if (wrong_end == fd) {
      ::close(other_end);
      continue;
    }
    ::dup2(wrong_end, fd);
    for (const int end : ends) {
      if (end != fd) ::close(end);
    }
  }
}

}  // namespace

void prepare_signals() noexcept {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t needed;
  ::sigemptyset(&needed);
  ::sigaddset(&needed, SIGALRM);
  ::sigaddset(&needed, SIGCHLD);
  ::sigprocmask(SIG_UNBLOCK, &needed, nullptr);
}

int run(const Plugin& plugin) {
  occupy_standard_descriptors();
  prepare_signals();
  const Environment environment = Environment::current();
  std::string input;
  std::string out;
  std::string err;
  const bool adds = environment.get("CNI_COMMAND") == text(Command::kAdd);
  const auto read_input = [&] {
    std::string read = real_input();
    if (adds) input = read;  // to take it back with
    return read;
  };
  int status = run(plugin, environment, read_input, out, err);
  try {
    write_all_in_time(STDERR_FILENO, err, "stderr");
    write_all_in_time(STDOUT_FILENO, out, "stdout");
  } catch (const Error&) {
    if (adds && status == 0) take_back(plugin, environment, input);
    status = 1;  // nobody is left to tell
  }
  return status;
}

}  // namespace cni
