// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/error.h"

#include <cerrno>
#include <stdexcept>
#include <utility>

#include "base/deadline.h"
#include "base/rollback.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::Error;
using cni::ErrorCode;
using cni::ErrorList;
using cni::KernelError;

TEST_CASE("error: text is msg and details", "[error]") {
  REQUIRE(std::string(Error(ErrorCode::kIo, "a", "b").what()) == "a; b");
  REQUIRE(std::string(Error(ErrorCode::kIo, "a").what()) == "a");
}

TEST_CASE("kernel error: keeps errno and the kernel's own words", "[error]") {
  const KernelError error(ENOENT, "find link \"x\"", "no such device");
  REQUIRE(error.is(std::errc::no_such_file_or_directory));
  REQUIRE_FALSE(error.is(std::errc::file_exists));
  REQUIRE(error.details() == "ENOENT (No such file or directory): no such device");
  REQUIRE(error.code() == ErrorCode::kKernel);
  REQUIRE(KernelError(99999, "x").details().find("99999") != std::string::npos);
}

TEST_CASE("throw_errno: code 5 and the current errno", "[error]") {
  errno = EACCES;
  const Error error = cni::test::error_of([] { cni::throw_errno("open \"f\""); });
  REQUIRE(error.code() == ErrorCode::kIo);
  REQUIRE(error.details() == "EACCES (Permission denied)");
}

TEST_CASE("error list: goes on after failures and throws them together", "[error]") {
  const cni::test::CaptureStderr quiet;
  ErrorList list;
  list.throw_if_any();
  bool third = false;
  REQUIRE_FALSE(list.attempt("one", [] { throw Error(ErrorCode::kTryAgain, "a", "x"); }));
  REQUIRE_FALSE(list.attempt("two", [] { throw std::runtime_error("b"); }));
  REQUIRE(list.attempt("three", [&] { third = true; }));
  list.add(Error(ErrorCode::kIo, "c", "y"));
  REQUIRE(third);
  const Error error = cni::test::error_of([&] { list.throw_if_any(); });
  REQUIRE(error.code() == ErrorCode::kTryAgain);
  REQUIRE(error.msg() == "a; two: b; c");
  REQUIRE(error.details() == "x; y");
}

TEST_CASE("error list: a single error stays as it is", "[error]") {
  const cni::test::CaptureStderr quiet;
  ErrorList list;
  list.attempt("one", [] { throw KernelError(EBUSY, "delete link"); });
  REQUIRE_FALSE(list.empty());
  const Error error = cni::test::error_of([&] { list.throw_if_any(); });
  REQUIRE(error.msg() == "delete link");
  REQUIRE(error.code() == ErrorCode::kKernel);
}

TEST_CASE("rollback: runs backwards, past failures, unless committed", "[rollback]") {
  const cni::test::CaptureStderr quiet;
  std::string order;
  {
    cni::Rollback rollback;
    rollback.on_failure("a", [&] { order += 'a'; });
    rollback.on_failure("b", [&] {
      order += 'b';
      throw Error(ErrorCode::kIo, "fails");
    });
    rollback.on_failure("c", [&] { order += 'c'; });
  }
  REQUIRE(order == "cba");
  REQUIRE(quiet.text().find("undo: b: fails") != std::string::npos);
  {
    cni::Rollback rollback;
    rollback.on_failure("d", [&] { order += 'd'; });
    rollback.commit();
  }
  REQUIRE(order == "cba");
}

TEST_CASE("rollback: undoing gets time of its own after the deadline", "[rollback][deadline]") {
  const cni::test::CaptureStderr quiet;
  cni::Deadline::start(std::chrono::milliseconds(0));
  REQUIRE(cni::Deadline::passed());
  bool in_time = false;
  {
    cni::Rollback rollback;
    rollback.on_failure("a", [&] { in_time = !cni::Deadline::passed(); });
  }
  REQUIRE(in_time);
}

TEST_CASE("deadline: never negative, extending never shortens it", "[deadline]") {
  cni::Deadline::start(std::chrono::milliseconds(0));
  REQUIRE(cni::Deadline::remaining().count() == 0);
  cni::Deadline::start(std::chrono::hours(1));
  cni::Deadline::extend_for_cleanup();
  REQUIRE(cni::Deadline::remaining() > std::chrono::minutes(30));
  const Error error = cni::test::error_of([] { cni::Deadline::expired("link eth0 is not up"); });
  REQUIRE(error.code() == ErrorCode::kTryAgain);
  REQUIRE(error.msg() == "deadline passed: link eth0 is not up");
}
