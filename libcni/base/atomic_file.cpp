// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/atomic_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni {

void write_file_atomically(const std::string& path, std::string_view content, unsigned mode,
                           Sync sync) {
  const auto slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  // Hidden, and with our pid: two writers never share one, and readers of the directory skip it.
  const std::string temp = concat(dir, dir == "." ? "/." : ".", name, ".", ::getpid(), ".tmp");
  try {
    const Fd fd = open_file(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
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

void make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return;
  if (errno != ENOENT) throw_errno(concat("create directory ", quote(path)));
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0)
    throw_errno(concat("create directory ", quote(path)));
  make_directories(path.substr(0, slash), mode);
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    throw_errno(concat("create directory ", quote(path)));
  }
}

}  // namespace cni
