// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace cni {

/// How a child ended.
struct ExitStatus {
  int code = 0;    // exit code, when signal is 0
  int signal = 0;  // terminating signal, 0 when it exited
  [[nodiscard]] bool ok() const noexcept { return code == 0 && signal == 0; }
  /// "exit status 3" or "killed by signal 9"
  [[nodiscard]] std::string text() const;
};

/// A running child process. Its stdin is a file with the given content, its stdout is collected,
/// its stderr too, and goes to ours at its end. It is killed when this process dies
/// (PR_SET_PDEATHSIG) and killed and reaped by the destructor. No shell is involved.
class [[nodiscard]] Child {
 public:
  /// Starts `path`. `env` is the whole environment ("K=V"). ETXTBSY (the file is being replaced) is
  /// retried for two seconds. Throws KernelError naming the path when it cannot be executed.
  static Child start(const std::string& path, const std::vector<std::string>& argv,
                     const std::vector<std::string>& env, std::string_view input);

  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  /// Collects stdout to its end and reaps the child, within the verb's Deadline: past it the child
  /// is killed and Error{kTryAgain} thrown.
  ExitStatus wait(std::string& output);
  /// What it said on stderr, once it has ended: the last part of it, for error details.
  [[nodiscard]] const std::string& words() const noexcept { return words_; }

 private:
  Child(int pid, Fd output, Fd errors, std::string path) noexcept
      : pid_(pid), output_(std::move(output)), errors_(std::move(errors)), path_(std::move(path)) {}
  ExitStatus reap();
  void pass_on_errors() noexcept;
  ExitStatus wait_for_exit();
  [[noreturn]] void kill_late();

  int pid_ = -1;
  Fd output_;
  Fd errors_;
  std::string path_;
  std::string words_;
};

struct RunResult {
  ExitStatus status;
  std::string output;
  std::string words;
};

/// Child::start and wait in one.
RunResult run_process(const std::string& path, const std::vector<std::string>& argv,
                      const std::vector<std::string>& env, std::string_view input);

/// The calling process's environment as "K=V" strings.
[[nodiscard]] std::vector<std::string> current_environment();

}  // namespace cni
