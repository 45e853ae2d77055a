// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace cni {

/// Owns a file descriptor. Every open is O_CLOEXEC.
class [[nodiscard]] Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// Opens or throws KernelError (code kIo) naming the path.
Fd open_file(const std::string& path, int flags, unsigned mode = 0);
/// As open_file, but an invalid Fd when the path does not exist (ENOENT, ENOTDIR) or cannot
/// (ENAMETOOLONG).
Fd open_file_if_exists(const std::string& path, int flags);

inline constexpr std::size_t kMaxReadBytes = 64U << 20;

/// Reads to end of file. Throws KernelError(EFBIG) beyond `limit` bytes.
[[nodiscard]] std::string read_all(int fd, std::string_view what,
                                   std::size_t limit = kMaxReadBytes);
void write_all(int fd, std::string_view data, std::string_view what);

/// As read_all and write_all, for descriptors that others made and may not serve, non-blocking ones
/// too: they end with the verb's Deadline, and throw Error{kTryAgain}.
[[nodiscard]] std::string read_all_in_time(int fd, std::string_view what,
                                           std::size_t limit = kMaxReadBytes);
void write_all_in_time(int fd, std::string_view data, std::string_view what);

/// The whole file; throws KernelError when it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace cni
