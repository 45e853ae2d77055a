// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"
#include "support/temp_dir.h"

namespace cni::test {

/// Sends file descriptor 2 of this process into a file while it lives.
class CaptureStderr {
 public:
  CaptureStderr() : saved_(::dup(STDERR_FILENO)) {
    const cni::Fd file(::open(dir_.path("stderr").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
    ::dup2(file.get(), STDERR_FILENO);
  }
  CaptureStderr(const CaptureStderr&) = delete;
  CaptureStderr& operator=(const CaptureStderr&) = delete;
  ~CaptureStderr() { ::dup2(saved_.get(), STDERR_FILENO); }

  [[nodiscard]] std::string text() const { return cni::read_file(dir_.path("stderr")); }

 private:
  TempDir dir_;
  cni::Fd saved_;
};

}  // namespace cni::test
