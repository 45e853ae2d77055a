// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/concat.h"
#include "base/error.h"

namespace cni {

void Fd::reset() noexcept {
  // EINTR and EIO still close on Linux: nothing to retry, nobody to tell.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Fd open_file(const std::string& path, int flags, unsigned mode) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) throw_errno(concat("open ", quote(path)));
  return fd;
}

Fd open_file_if_exists(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC));
  const bool absent = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
  if (!fd.valid() && !absent) throw_errno(concat("open ", quote(path)));
  return fd;
}

std::string read_all(int fd, std::string_view what, std::size_t limit) {
  std::string data;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return data;
    if (got < 0) {
      if (errno == EINTR) continue;
      throw_errno(concat("read ", what));
    }
    data.append(buffer, static_cast<std::size_t>(got));
    if (data.size() > limit) {
      throw KernelError(EFBIG, concat("read ", what, ": more than ", limit, " bytes"), {},
                        ErrorCode::kIo);
    }
  }
}

void write_all(int fd, std::string_view data, std::string_view what) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      throw_errno(concat("write ", what));
    }
    data.remove_prefix(static_cast<std::size_t>(put));
  }
}

std::string read_file(const std::string& path) {
  const Fd fd = open_file(path, O_RDONLY);
  return read_all(fd.get(), quote(path));
}

}  // namespace cni
