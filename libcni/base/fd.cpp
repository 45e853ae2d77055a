// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/concat.h"
#include "base/deadline.h"
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

namespace {

/// What a pipe that can be written to takes at once.
constexpr std::size_t kPipePage = 4096;

/// An error of the descriptor counts as ready: the call that follows tells it.
void wait_until_ready(int fd, short events, const std::string& what) {
  pollfd ready{fd, events, 0};
  for (;;) {
    const int n = ::poll(&ready, 1, static_cast<int>(Deadline::remaining().count()));
    if (n > 0) return;
    if (n == 0) Deadline::expired(what);
    if (errno != EINTR) throw_errno(what);
  }
}

std::string read_all(int fd, const std::string& what, std::size_t limit, bool in_time) {
  std::string data;
  char buffer[4096];
  for (;;) {
    if (in_time) wait_until_ready(fd, POLLIN, what);
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return data;
    if (got < 0) {
      if (errno == EINTR || (in_time && errno == EAGAIN)) continue;
      throw_errno(what);
    }
    data.append(buffer, static_cast<std::size_t>(got));
    if (data.size() > limit) {
      throw KernelError(EFBIG, concat(what, ": more than ", limit, " bytes"), {}, ErrorCode::kIo);
    }
  }
}

void write_all(int fd, std::string_view data, const std::string& what, bool in_time) {
  while (!data.empty()) {
    if (in_time) wait_until_ready(fd, POLLOUT, what);
    const ssize_t put =
        ::write(fd, data.data(), in_time ? std::min(data.size(), kPipePage) : data.size());
    if (put < 0) {
      if (errno == EINTR || (in_time && errno == EAGAIN)) continue;
      throw_errno(what);
    }
    data.remove_prefix(static_cast<std::size_t>(put));
  }
}

}  // namespace

std::string read_all(int fd, std::string_view what, std::size_t limit) {
  return read_all(fd, concat("read ", what), limit, false);
}

std::string read_all_in_time(int fd, std::string_view what, std::size_t limit) {
  return read_all(fd, concat("read ", what), limit, true);
}

void write_all(int fd, std::string_view data, std::string_view what) {
  write_all(fd, data, concat("write ", what), false);
}

void write_all_in_time(int fd, std::string_view data, std::string_view what) {
  write_all(fd, data, concat("write ", what), true);
}

std::string read_file(const std::string& path) {
  const Fd fd = open_file(path, O_RDONLY);
  return read_all(fd.get(), quote(path));
}

}  // namespace cni
