// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netns/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"

namespace cni {
namespace {

/// The first thread's has the shorter way: each part of a path below /proc is made when it is
/// looked for.
const char* path_of_current() noexcept {
  return ::gettid() == ::getpid() ? "/proc/self/ns/net" : "/proc/thread-self/ns/net";
}

bool is_network_namespace(int fd) noexcept {
  struct statfs fs {};
  if (::fstatfs(fd, &fs) != 0 || fs.f_type != NSFS_MAGIC) return false;
  return ::ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

}  // namespace

NetNs NetNs::open(const std::string& path) {
  // O_NONBLOCK: a FIFO in this place must not hang us.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    const bool gone = errno == ENOENT || errno == ENOTDIR;
    throw KernelError(errno, concat("failed to open netns ", quote(path)), {},
                      gone ? ErrorCode::kUnknownContainer : ErrorCode::kInvalidNetns);
  }
  if (!is_network_namespace(fd.get())) {
    throw Error(ErrorCode::kInvalidNetns,
                concat("failed to open netns ", quote(path), ": not a network namespace"));
  }
  return describe(std::move(fd), path);
}

NetNs NetNs::describe(Fd fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw_errno(concat("stat netns ", quote(path)));
  return {std::move(fd), info.st_dev, info.st_ino};
}

std::optional<NetNs> NetNs::open_if_exists(const std::string& path) {
  if (path.empty()) return std::nullopt;
  try {
    return open(path);
  } catch (const KernelError& error) {
    if (error.code() == ErrorCode::kUnknownContainer) return std::nullopt;
    const int reason = error.error_number();
    if (reason == EMFILE || reason == ENFILE || reason == ENOMEM || reason == EINTR) throw;
    // A socket, a loop of symbolic links, ...: no later attempt would find a namespace either.
    log::warn(error.what());
    return std::nullopt;
  } catch (const Error& error) {
    // A mount point that lost its namespace: a plain file is left.
    log::warn(error.what());
    return std::nullopt;
  }
}

NetNs NetNs::current() {
  const std::string path = path_of_current();
  return describe(open_file(path, O_RDONLY), path);
}

NetNs NetNs::create() {
  const NetNs home = current();
  return home.run_from(home, [] {  // the way back is the same as from any other namespace
    if (::unshare(CLONE_NEWNET) != 0) throw_errno("create a network namespace");
    return current();
  });
}

NetNs::Entered::Entered(const NetNs& target, const NetNs& home) : home_(home) {
  if (::setns(target.fd(), CLONE_NEWNET) != 0) throw_errno("enter the container's netns");
}

NetNs::Entered::~Entered() {
  if (::setns(home_.fd(), CLONE_NEWNET) != 0) std::abort();
}

}  // namespace cni
