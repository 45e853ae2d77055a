// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni::test {

/// A directory that goes with the object, below CNIPP_TEST_TMP if that is set.
class TempDir {
 public:
  TempDir() {
    const char* const wanted = std::getenv("CNIPP_TEST_TMP");
    const std::filesystem::path base =
        wanted != nullptr ? wanted : std::filesystem::temp_directory_path();
    std::string pattern = (base / "cnipp-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) cni::throw_errno("make a temporary directory");
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string path(std::string_view name) const {
    return cni::concat(path_, "/", name);
  }
  /// Writes a file, making its directories; returns its path.
  std::string write(std::string_view name, std::string_view content, unsigned mode = 0644) const {
    const std::string file = path(name);
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    const cni::Fd fd = cni::open_file(file, O_WRONLY | O_CREAT | O_TRUNC, mode);
    cni::write_all(fd.get(), content, file);
    ::fchmod(fd.get(), mode);
    return file;
  }
  /// An executable /bin/sh script.
  std::string script(std::string_view name, std::string_view body) const {
    return write(name, cni::concat("#!/bin/sh\n", body, "\n"), 0755);
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      out.push_back(entry.path().filename().string());
    }
    return out;
  }

 private:
  std::string path_;
};

}  // namespace cni::test
