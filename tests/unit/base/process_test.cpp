// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::Child;
using cni::concat;
using cni::ErrorCode;
using cni::run_process;
using cni::RunResult;

namespace {

RunResult shell(const std::string& script, std::string_view input = {}) {
  return run_process("/bin/sh", {"sh", "-c", script}, {"PATH=/usr/bin:/bin", "X=from env"}, input);
}

/// Gone or a zombie. Waits for it, within half a minute.
bool ends(int pid) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < limit) {
    if (::kill(pid, 0) != 0 && errno == ESRCH) return true;
    try {
      const std::string stat = cni::read_file(concat("/proc/", pid, "/stat"));
      if (stat.find(") Z ") != std::string::npos) return true;
    } catch (const cni::Error&) {
      return true;
    }
    ::poll(nullptr, 0, 2);
  }
  return false;
}

/// Waits until another process has written its pid into the file.
int read_pid(const std::string& path) {
  for (int tries = 0; tries < 15000; ++tries) {
    try {
      const std::string text = cni::read_file(path);
      if (!text.empty() && text.back() == '\n') return std::stoi(text);
    } catch (const cni::Error&) {
    }
    ::poll(nullptr, 0, 2);
  }
  FAIL("no pid in " << path);
  return 0;
}

}  // namespace

TEST_CASE("process: argv, environment and stdin arrive, stdout is collected", "[process]") {
  const RunResult result = shell("cat; echo \"$0 $X\"", "input ");
  REQUIRE(result.status.ok());
  REQUIRE(result.output == "input sh from env\n");
}

TEST_CASE("process: megabytes in either direction", "[process]") {
  const std::string data(10'000'000, 'x');
  REQUIRE(shell("cat", data).output == data);
  REQUIRE(shell("true", data).status.ok());
}

TEST_CASE("process: stderr goes to ours, its end is known", "[process]") {
  const cni::test::CaptureStderr captured;
  const RunResult result = shell("echo words >&2; echo more >&2");
  REQUIRE(result.output.empty());
  REQUIRE(result.words == "words more");
  REQUIRE(captured.text() == "words\nmore\n");
}

TEST_CASE("process: only stdin, stdout and stderr are inherited", "[process]") {
  const cni::Fd open = cni::open_file("/dev/null", O_RDONLY);
  REQUIRE(shell(concat("test -e /proc/self/fd/", open.get())).status.code == 1);
}

TEST_CASE("process: how it ended", "[process]") {
  const RunResult exited = shell("exit 3");
  REQUIRE_FALSE(exited.status.ok());
  REQUIRE(exited.status.code == 3);
  REQUIRE(exited.status.text() == "exit status 3");
  const RunResult killed = shell("kill -9 $$");
  REQUIRE_FALSE(killed.status.ok());
  REQUIRE(killed.status.text() == "killed by signal 9");
}

TEST_CASE("process: what cannot be executed names the path and the reason", "[process]") {
  const cni::test::TempDir dir;
  dir.write("data", "not a program", 0644);
  dir.write("garbage",
            "\x7f"
            "ELF garbage",
            0755);
  const auto missing = cni::test::error_of([&] { run_process(dir.path("x"), {"x"}, {}, ""); });
  REQUIRE(missing.code() == ErrorCode::kDelegate);
  REQUIRE(missing.msg() == concat("execute \"", dir.path("x"), "\""));
  REQUIRE(missing.details().substr(0, 6) == "ENOENT");
  const auto denied = cni::test::error_of([&] { run_process(dir.path("data"), {"x"}, {}, ""); });
  REQUIRE(denied.details().substr(0, 6) == "EACCES");
  const auto garbage =
      cni::test::error_of([&] { run_process(dir.path("garbage"), {"x"}, {}, ""); });
  REQUIRE(garbage.details().substr(0, 7) == "ENOEXEC");
}

TEST_CASE("process: a file that is being written is tried again", "[process][etxtbsy]") {
  const cni::test::TempDir dir;
  const std::string program = dir.path("program");
  std::filesystem::copy_file("/bin/true", program);
  int held[2];
  REQUIRE(::pipe(held) == 0);
  const int writer = ::fork();
  if (writer == 0) {
    const cni::Fd busy = cni::open_file(program, O_WRONLY);
    (void)!::write(held[1], "x", 1);
    ::poll(nullptr, 0, 100);  // a copy in progress
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(held[0], &byte, 1) == 1);
  REQUIRE(run_process(program, {program}, {}, "").status.ok());
  ::waitpid(writer, nullptr, 0);
}

TEST_CASE("process: a file that stays busy fails within the deadline", "[process][etxtbsy]") {
  const cni::test::TempDir dir;
  const std::string program = dir.path("program");
  std::filesystem::copy_file("/bin/true", program);
  const cni::Fd busy = cni::open_file(program, O_WRONLY);
  cni::Deadline::start(std::chrono::milliseconds(50));
  const auto error = cni::test::error_of([&] { run_process(program, {program}, {}, ""); });
  REQUIRE(error.details().substr(0, 7) == "ETXTBSY");
}

TEST_CASE("process: one that does not end is killed at the deadline", "[process][deadline]") {
  const cni::test::TempDir dir;
  const std::string pid_file = dir.path("pid");
  const std::string script = GENERATE("exec sleep 60", "exec >&-; exec sleep 60",
                                      "yes x & trap '' TERM; while :; do sleep 1; done");
  Child child = Child::start("/bin/sh", {"sh", "-c", concat("echo $$ > ", pid_file, "; ", script)},
                             {"PATH=/usr/bin:/bin"}, "");
  const int pid = read_pid(pid_file);
  cni::Deadline::start(std::chrono::milliseconds(20));
  std::string output;
  const auto error = cni::test::error_of([&] { child.wait(output); });
  REQUIRE((error.code() == ErrorCode::kTryAgain || error.code() == ErrorCode::kDelegate));
  if (script.front() == 'e') REQUIRE(error.msg() == "deadline passed: \"/bin/sh\" did not end");
  { const Child dropped = std::move(child); }
  REQUIRE(ends(pid));
}

TEST_CASE("process: the destructor kills and reaps", "[process]") {
  const cni::test::TempDir dir;
  int pid = 0;
  {
    Child child = Child::start(
        "/bin/sh", {"sh", "-c", concat("echo $$ > ", dir.path("pid"), "; exec sleep 60")},
        {"PATH=/usr/bin:/bin"}, "");
    pid = read_pid(dir.path("pid"));
    const Child moved = std::move(child);
  }
  REQUIRE((::kill(pid, 0) != 0 && errno == ESRCH));
}

TEST_CASE("process: a child dies with its parent", "[process]") {
  const cni::test::TempDir dir;
  const int parent = ::fork();
  if (parent == 0) {
    Child child = Child::start(
        "/bin/sh", {"sh", "-c", concat("echo $$ > ", dir.path("pid"), "; exec sleep 60")},
        {"PATH=/usr/bin:/bin"}, "");
    for (;;) ::pause();
  }
  const int pid = read_pid(dir.path("pid"));
  REQUIRE(::kill(parent, SIGKILL) == 0);
  ::waitpid(parent, nullptr, 0);
  REQUIRE(ends(pid));
}
