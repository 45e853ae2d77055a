// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/error.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/concat.h"
#include "base/log.h"

namespace cni {
namespace {

std::string errno_text(int error_number, std::string_view extack) {
  const char* name = strerrorname_np(error_number);
  std::string text = concat(name ? name : "errno ", name ? "" : concat(error_number), " (",
                            strerror(error_number), ")");
  if (!extack.empty()) text += concat(": ", extack);
  return text;
}

}  // namespace

Error::Error(ErrorCode code, std::string msg, std::string details)
    : code_(code), msg_(std::move(msg)), details_(std::move(details)) {
  text_ = details_.empty() ? msg_ : concat(msg_, "; ", details_);
}

KernelError::KernelError(int error_number, std::string what, std::string_view extack,
                         ErrorCode code)
    : Error(code, std::move(what), errno_text(error_number, extack)), errno_(error_number) {}

void throw_errno(std::string what) {
  throw KernelError(errno, std::move(what), {}, ErrorCode::kIo);
}

bool ErrorList::attempt(std::string_view what, const std::function<void()>& step) {
  try {
    log::Step timed(what);
    step();
    return true;
  } catch (const Error& error) {
    log::warn(concat(what, ": ", error.what()));
    errors_.push_back(error);
  } catch (const std::exception& error) {
    log::warn(concat(what, ": ", error.what()));
    errors_.emplace_back(ErrorCode::kInternal, concat(what, ": ", error.what()));
  }
  return false;
}

void ErrorList::add(const Error& error) { errors_.push_back(error); }

void ErrorList::throw_if_any() const {
  if (errors_.empty()) return;
  if (errors_.size() == 1) throw errors_.front();
  std::string msg;
  std::string details;
  for (const Error& error : errors_) {
    if (!msg.empty()) msg += "; ";
    msg += error.msg();
    if (error.details().empty()) continue;
    if (!details.empty()) details += "; ";
    details += error.details();
  }
  throw Error(errors_.front().code(), std::move(msg), std::move(details));
}

}  // namespace cni
