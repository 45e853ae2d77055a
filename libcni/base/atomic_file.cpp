// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/atomic_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni {
namespace {

constexpr std::size_t kMaxNamePart = 200;

constexpr int kAttempts = 100;

Fd open_unnamed(const std::string& dir, unsigned mode, unsigned directory_mode) {
  const auto open = [&] { return Fd(::open(dir.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode)); };
  Fd fd = open();
  if (!fd.valid() && errno == ENOENT) {
    make_directories(dir, directory_mode);
    fd = open();
  }
  if (!fd.valid()) throw_errno(concat("create a file in ", quote(dir)));
  return fd;
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

void write_file_atomically(const std::string& path, std::string_view content, unsigned mode,
                           Sync sync) {
  const auto slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  // Hidden: readers of the directory skip it. Random and exclusive: writers in different pid
  // namespaces share the directory. Cut: a file name has at most 255 bytes.
  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) throw_errno("get random bytes");
  const std::string temp = concat(dir, dir == "." ? "/." : ".", name.substr(0, kMaxNamePart), ".",
                                  ::getpid(), "-", hex(random), ".tmp");
  const Fd fd = open_file(temp, O_WRONLY | O_CREAT | O_EXCL, mode);
  try {
    write_all(fd.get(), content, quote(temp));
    if (sync == Sync::kData && ::fdatasync(fd.get()) != 0)
      throw_errno(concat("sync ", quote(temp)));
    if (::rename(temp.c_str(), path.c_str()) != 0) {
      throw_errno(concat("rename ", quote(temp), " to ", quote(path)));
    }
  } catch (...) {
    ::unlink(temp.c_str());
    throw;
  }
}

void write_file_unnamed(const std::string& path, std::string_view content, unsigned mode,
                        unsigned directory_mode) {
  const Fd fd = open_unnamed(path.substr(0, path.rfind('/')), mode, directory_mode);
  write_all(fd.get(), content, quote(path));
  const std::string unnamed = concat("/proc/self/fd/", fd.get());
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int status =
        ::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
    if (status == 0) return;
    if (errno != EEXIST) break;
    ::unlink(path.c_str());
  }
  throw_errno(concat("create ", quote(path)));
}

void make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return;
  if (errno == EEXIST && is_directory(path)) return;
  const auto slash = path.find_last_of('/');
  const bool has_parent = slash != std::string::npos && slash != 0;
  if (errno != ENOENT || !has_parent) throw_errno(concat("create directory ", quote(path)));
  make_directories(path.substr(0, slash), mode);
  // EEXIST: another process was faster, or the path ends in a slash.
  if (::mkdir(path.c_str(), mode) != 0 && !(errno == EEXIST && is_directory(path))) {
    throw_errno(concat("create directory ", quote(path)));
  }
}

}  // namespace cni
