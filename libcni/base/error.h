// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace cni {

/// Error codes of the CNI specification 1.1.0, section 5 "Error", and our own from 100 on
/// (docs/errors.md).
enum class ErrorCode : unsigned {
  kIncompatibleVersion = 1,
  kUnsupportedField = 2,
  kUnknownContainer = 3,  // the container does not exist: nothing to clean up
  kInvalidEnvironment = 4,
  kIo = 5,
  kDecode = 6,
  kInvalidConfig = 7,
  kInvalidNetns = 8,  // reference implementation: netns unusable or the plugin's own
  kTryAgain = 11,
  kNotAvailable = 50,  // STATUS: ADD cannot be served
  kLimitedConnectivity = 51,
  kKernel = 100,    // the kernel refused a request; details: errno and extended-ack text
  kMismatch = 101,  // CHECK: something differs from what ADD made
  kConflict = 102,  // a name or address is in use by somebody else
  kDelegate = 103,  // a delegated plugin could not be run or gave no usable answer
  kInternal = 999,  // the reference implementation's code for "anything else"
};

/// What a verb reports: maps 1:1 to the CNI error object. msg is lower case, without final period.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string msg, std::string details = {});

  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& msg() const noexcept { return msg_; }
  [[nodiscard]] const std::string& details() const noexcept { return details_; }

 private:
  ErrorCode code_;
  std::string msg_;
  std::string details_;
  std::string text_;  // "msg; details"
};

/// A system call or kernel request that failed. Keeps errno; details carry its name and the
/// kernel's extended-ack text when there is one.
class KernelError : public Error {
 public:
  KernelError(int error_number, std::string what, std::string_view extack = {},
              ErrorCode code = ErrorCode::kKernel);

  [[nodiscard]] int error_number() const noexcept { return errno_; }
  [[nodiscard]] bool is(std::errc e) const noexcept { return errno_ == static_cast<int>(e); }

 private:
  int errno_;
};

/// Throws KernelError with the current errno, code kIo: for files, pipes, processes.
[[noreturn]] void throw_errno(std::string what);

/// Collects the failures of steps that must all be tried (DEL, GC).
class ErrorList {
 public:
  /// Runs step; an Error is kept (and logged), not thrown. True when the step succeeded.
  bool attempt(std::string_view what, const std::function<void()>& step);
  void add(const Error& error);
  [[nodiscard]] bool empty() const noexcept { return errors_.empty(); }
  /// One error: itself. Several: the first one's code, all messages joined.
  void throw_if_any() const;

 private:
  std::vector<Error> errors_;
};

}  // namespace cni
