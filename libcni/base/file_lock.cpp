// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/file_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"

namespace cni {
namespace {

constexpr const char* kRunDir = "/run/cnipp";

std::string path_of(std::string_view name) { return concat(kRunDir, "/", name, ".lock"); }

/// " (held by pid 12)" from the /proc/locks line of this inode, or "".
std::string holder(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return {};
  const std::string suffix = concat(":", info.st_ino, " ");
  try {
    const std::string locks = read_file("/proc/locks");
    std::string_view rest = locks;
    while (!rest.empty()) {
      const auto end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      // "1: FLOCK  ADVISORY  WRITE 1234 00:19:5678 0 EOF"; waiters have "->" after the number
      if (line.find(suffix) == std::string_view::npos) continue;
      if (line.find("->") != std::string_view::npos) continue;
      const auto kind = line.find("WRITE ");
      if (kind == std::string_view::npos) continue;
      const std::string_view pid = line.substr(kind + 6, line.find(' ', kind + 6) - kind - 6);
      return concat(" (held by pid ", pid, ")");
    }
  } catch (const Error&) {
    // No /proc: the message then does without the holder.
  }
  return {};
}

/// A timer that keeps interrupting a blocking flock(2) after the deadline, so that the wait costs
/// no polling: the kernel queues waiters fairly.
class Alarm {
 public:
  explicit Alarm(std::chrono::milliseconds after) {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // no SA_RESTART: flock returns EINTR
    ::sigaction(SIGALRM, &action, &old_action_);
    const auto ms = after.count() > 0 ? after.count() : 1;
    const itimerval timer{{0, 50'000}, {ms / 1000, (ms % 1000) * 1000}};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    ::sigaction(SIGALRM, &old_action_, nullptr);
  }

 private:
  struct sigaction old_action_ {};
};

}  // namespace

FileLock FileLock::acquire(const std::string& path, unsigned mode, Kind kind) {
  return acquire(open_file(path, O_RDONLY | O_CREAT, mode), path, kind);
}

FileLock FileLock::acquire(Fd fd, const std::string& path, Kind kind) {
  const int operation = kind == Kind::kShared ? LOCK_SH : LOCK_EX;
  if (::flock(fd.get(), operation | LOCK_NB) == 0) return FileLock(std::move(fd));
  if (errno != EWOULDBLOCK && errno != EINTR) throw_errno(concat("lock ", quote(path)));
  const Alarm alarm(Deadline::remaining());
  while (::flock(fd.get(), operation) != 0) {
    if (errno != EINTR) throw_errno(concat("lock ", quote(path)));
    if (Deadline::passed()) Deadline::expired(concat("lock ", quote(path), holder(fd.get())));
  }
  return FileLock(std::move(fd));
}

FileLock FileLock::of_suite(std::string_view name, Kind kind) {
  constexpr int kFlags = O_RDONLY | O_CREAT | O_NOFOLLOW;
  constexpr unsigned kMode = 0600;
  const std::string path = path_of(name);
  Fd fd(::open(path.c_str(), kFlags | O_CLOEXEC, kMode));
  if (!fd.valid() && errno == ENOENT) {
    make_directories(kRunDir, 0700);
    fd = open_file(path, kFlags, kMode);
  } else if (!fd.valid()) {
    throw_errno(concat("open ", quote(path)));
  }
  return acquire(std::move(fd), path, kind);
}

std::optional<FileLock> FileLock::of_suite_if_possible(std::string_view name, Kind kind) {
  try {
    return of_suite(name, kind);
  } catch (const KernelError& error) {
    log::error(concat("going on without a lock: ", error.what()));
    return std::nullopt;
  }
}

bool FileLock::is_held(std::string_view name) noexcept {
  const Fd fd(::open(path_of(name).c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace cni
