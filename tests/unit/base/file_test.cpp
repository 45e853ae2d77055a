// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/atomic_file.h"
#include "base/deadline.h"
#include "base/fd.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::Fd;
using cni::KernelError;
using cni::read_file;
using cni::Sync;
using cni::write_file_atomically;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

unsigned mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("fd: closes once, moved-from is harmless", "[fd]") {
  Fd first = cni::open_file("/dev/null", O_RDONLY);
  const int number = first.get();
  REQUIRE((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
  Fd second = std::move(first);
  REQUIRE_FALSE(first.valid());
  first.reset();
  REQUIRE(is_open(number));
  Fd third;
  third = std::move(second);
  second = Fd();
  REQUIRE(third.get() == number);
  third = Fd(third.release());
  REQUIRE(is_open(number));
  third.reset();
  REQUIRE_FALSE(is_open(number));
}

TEST_CASE("fd: a missing file is an error or an invalid descriptor", "[fd]") {
  const cni::test::TempDir dir;
  REQUIRE_FALSE(cni::open_file_if_exists(dir.path("x"), O_RDONLY).valid());
  dir.write("file", "");
  REQUIRE_FALSE(cni::open_file_if_exists(dir.path("file/x"), O_RDONLY).valid());
  const auto error = cni::test::error_of([&] { (void)read_file(dir.path("x")); });
  REQUIRE(error.code() == cni::ErrorCode::kIo);
  REQUIRE(error.msg() == "open \"" + dir.path("x") + "\"");
}

TEST_CASE("fd: reading stops at the limit", "[fd]") {
  const cni::test::TempDir dir;
  const std::string path = dir.write("f", std::string(100'000, 'x'));
  REQUIRE(cni::read_all(cni::open_file(path, O_RDONLY).get(), "f").size() == 100'000);
  REQUIRE_THROWS_AS(cni::read_all(cni::open_file(path, O_RDONLY).get(), "f", 50'000), KernelError);
  REQUIRE_THROWS_AS(cni::read_all(-1, "f"), KernelError);
  REQUIRE_THROWS_AS(cni::write_all(-1, "x", "f"), KernelError);
}

TEST_CASE("fd: who does not write, or does not read, is waited for until the deadline", "[fd]") {
  int ends[2];
  const int flags = GENERATE(0, O_NONBLOCK);
  REQUIRE(::pipe2(ends, flags | O_CLOEXEC) == 0);
  const cni::Fd reading(ends[0]);
  cni::Fd writing(ends[1]);
  cni::Deadline::start(std::chrono::milliseconds(20));
  const cni::Error silent =
      cni::test::error_of([&] { (void)cni::read_all_in_time(reading.get(), "it"); });
  CHECK(silent.code() == cni::ErrorCode::kTryAgain);
  CHECK(silent.msg() == "deadline passed: read it");
  cni::Deadline::start(std::chrono::milliseconds(20));
  const std::string much(1 << 20, 'x');
  const cni::Error full =
      cni::test::error_of([&] { cni::write_all_in_time(writing.get(), much, "it"); });
  CHECK(full.code() == cni::ErrorCode::kTryAgain);
  writing.reset();
  cni::Deadline::start(std::chrono::seconds(30));
  CHECK(cni::read_all_in_time(reading.get(), "it").size() >= 4096);
}

TEST_CASE("atomic file: new and replaced content, mode, no temporary file left", "[atomic_file]") {
  const cni::test::TempDir dir;
  const std::string path = dir.path("f");
  write_file_atomically(path, "one", 0600);
  REQUIRE(read_file(path) == "one");
  REQUIRE(mode_of(path) == 0600);
  write_file_atomically(path, std::string(1'000'000, 'x'), 0600, Sync::kData);
  REQUIRE(read_file(path).size() == 1'000'000);
  REQUIRE(dir.names() == std::vector<std::string>{"f"});
}

TEST_CASE("unnamed file: makes its directory, replaces, leaves nothing else", "[atomic_file]") {
  const cni::test::TempDir dir;
  const std::string path = dir.path("a/state");
  for (const char* content : {"one", "two"}) {
    cni::write_file_unnamed(path, content, 0600, 0700);
    REQUIRE(read_file(path) == content);
    REQUIRE(mode_of(path) == 0600);
  }
  REQUIRE(mode_of(dir.path("a")) == 0700);
  std::filesystem::remove(path);
  REQUIRE(std::filesystem::is_empty(dir.path("a")));
  REQUIRE_THROWS_AS(cni::write_file_unnamed("/proc/none/state", "x", 0600, 0700), cni::KernelError);
}

TEST_CASE("atomic file: a reader of the old file keeps the old content", "[atomic_file]") {
  const cni::test::TempDir dir;
  const std::string path = dir.write("f", "old");
  const Fd reader = cni::open_file(path, O_RDONLY);
  write_file_atomically(path, "new", 0600);
  REQUIRE(cni::read_all(reader.get(), "f") == "old");
  REQUIRE(read_file(path) == "new");
}

TEST_CASE("atomic file: a failure leaves the old state and no temporary file", "[atomic_file]") {
  const cni::test::TempDir dir;
  dir.write("directory/x", "");
  REQUIRE_THROWS_AS(write_file_atomically(dir.path("directory"), "x", 0600), KernelError);
  REQUIRE(dir.names() == std::vector<std::string>{"directory"});
  REQUIRE_THROWS_AS(write_file_atomically(dir.path("missing/f"), "x", 0600), KernelError);
}

TEST_CASE("atomic file: a symbolic link is replaced, not followed", "[atomic_file]") {
  const cni::test::TempDir dir;
  dir.write("target", "mine");
  REQUIRE(::symlink("target", dir.path("link").c_str()) == 0);
  write_file_atomically(dir.path("link"), "new", 0600);
  REQUIRE(read_file(dir.path("target")) == "mine");
  REQUIRE(read_file(dir.path("link")) == "new");
}

TEST_CASE("atomic file: names of every length that the file system allows", "[atomic_file]") {
  const cni::test::TempDir dir;
  const std::string path = dir.path(std::string(255, 'n'));
  write_file_atomically(path, "x", 0600);
  REQUIRE(read_file(path) == "x");
}

TEST_CASE("atomic file: a relative path without directory", "[atomic_file]") {
  const cni::test::TempDir dir;
  REQUIRE(::chdir(dir.path().c_str()) == 0);
  write_file_atomically("f", "x", 0600);
  REQUIRE(read_file(dir.path("f")) == "x");
  REQUIRE(::chdir("/") == 0);
}

TEST_CASE("make directories: all missing levels, existing ones are fine", "[atomic_file]") {
  const cni::test::TempDir dir;
  cni::make_directories(dir.path("a/b/c"), 0700);
  cni::make_directories(dir.path("a/b/c"), 0700);
  cni::make_directories(dir.path("a/b/d/"), 0700);
  REQUIRE(mode_of(dir.path("a/b/c")) == 0700);
  dir.write("file", "");
  REQUIRE_THROWS_AS(cni::make_directories(dir.path("file/x"), 0700), KernelError);
  REQUIRE_THROWS_AS(cni::make_directories(dir.path("file"), 0700), KernelError);
}
