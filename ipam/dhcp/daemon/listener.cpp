// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/listener.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/concat.h"
#include "base/error.h"

namespace cni::dhcp {
namespace {

constexpr int kFirstPassed = 3;  // sd_listen_fds(3)
constexpr int kBacklog = 1024;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? std::string() : value;
}

/// systemd's socket; invalid when it has not started us.
Fd take_passed() {
  const std::string pid = variable("LISTEN_PID");
  const std::string count = variable("LISTEN_FDS");
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  if (pid != concat(::getpid()) || count.empty() || count == "0") return {};
  if (count != "1") {
    throw Error(ErrorCode::kInvalidEnvironment,
                concat("Too many (", count, ") FDs passed through socket activation"));
  }
  struct stat info {};
  if (::fstat(kFirstPassed, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    throw Error(ErrorCode::kInvalidEnvironment, "LISTEN_FDS=1 but no FD found");
  }
  ::fcntl(kFirstPassed, F_SETFD, FD_CLOEXEC);
  ::fcntl(kFirstPassed, F_SETFL, O_NONBLOCK);
  return Fd(kFirstPassed);
}

Fd lock(const std::string& path, const std::string& file) {
  Fd fd = open_file(file, O_RDONLY | O_CREAT, 0600);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  throw Error(ErrorCode::kConflict,
              concat("listen unix ", path, ": another DHCP daemon uses this path"));
}

/// Whoever holds the lock is alone: what lies at the path is a dead daemon's.
Fd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw Error(ErrorCode::kInvalidConfig, concat("socket path too long: ", quote(path)));
  }
  std::ranges::copy(path, address.sun_path);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) throw_errno("create a socket");
  // Nobody else may call, not even between bind and chmod.
  const mode_t before = ::umask(0077);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::umask(before);
  if (bound != 0 || ::listen(fd.get(), kBacklog) != 0) throw_errno(concat("listen unix ", path));
  return fd;
}

}  // namespace

Listener::Listener(std::string path, const std::string& directory)
    : path_(std::move(path)), lock_(lock(path_, concat(directory, "/lock"))), fd_(take_passed()) {
  if (fd_.valid()) return;
  fd_ = listen_at(path_);
  is_own_ = true;
}

Listener::~Listener() {
  if (is_own_) ::unlink(path_.c_str());
}

Fd Listener::accept() const {
  return Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

}  // namespace cni::dhcp
