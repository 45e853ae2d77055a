// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/file_lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::FileLock;

namespace {

/// Another process that holds the lock until it is killed.
class Holder {
 public:
  explicit Holder(const std::string& path) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const FileLock lock = FileLock::acquire(path);
      (void)!::write(ready[1], "x", 1);
      for (;;) ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() { kill(); }

  [[nodiscard]] int pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  int pid_ = 0;
};

}  // namespace

TEST_CASE("file lock: creates the file and keeps it", "[file_lock]") {
  const cni::test::TempDir dir;
  { const FileLock lock = FileLock::acquire(dir.path("lock")); }
  REQUIRE(dir.names() == std::vector<std::string>{"lock"});
  REQUIRE_THROWS_AS(FileLock::acquire(dir.path("missing/lock")), cni::KernelError);
}

TEST_CASE("file lock: waits to the deadline, then names the holder", "[file_lock]") {
  const cni::test::TempDir dir;
  const Holder holder(dir.path("lock"));
  cni::Deadline::start(std::chrono::milliseconds(20));
  const cni::Error error = cni::test::error_of([&] { (void)FileLock::acquire(dir.path("lock")); });
  REQUIRE(error.code() == cni::ErrorCode::kTryAgain);
  REQUIRE(error.msg() == cni::concat("deadline passed: lock \"", dir.path("lock"),
                                     "\" (held by pid ", holder.pid(), ")"));
}

TEST_CASE("file lock: a killed holder releases it", "[file_lock]") {
  const cni::test::TempDir dir;
  Holder holder(dir.path("lock"));
  holder.kill();
  cni::Deadline::start(std::chrono::seconds(30));
  REQUIRE(FileLock::acquire(dir.path("lock")).fd() >= 0);
}

TEST_CASE("file lock: moved-from is harmless, the lock stays", "[file_lock]") {
  const cni::test::TempDir dir;
  FileLock first = FileLock::acquire(dir.path("lock"));
  const FileLock second = std::move(first);
  REQUIRE(first.fd() == -1);
  cni::Deadline::start(std::chrono::milliseconds(1));
  REQUIRE_THROWS_AS(FileLock::acquire(dir.path("lock")), cni::Error);
}

TEST_CASE("file lock: a directory can be locked", "[file_lock]") {
  const cni::test::TempDir dir;
  const FileLock lock = FileLock::acquire(cni::open_file(dir.path(), 0), dir.path());
  REQUIRE(lock.fd() >= 0);
}
