// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "liveness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

namespace cni::host_local {

std::string current_boot() {
  const Fd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char buffer[64];
  const ssize_t got = fd.valid() ? ::read(fd.get(), buffer, sizeof buffer) : 0;
  std::string out;
  for (ssize_t i = 0; i < got && out.size() < 16; ++i) {
    if (buffer[i] != '-') out += buffer[i];
  }
  return out.size() == 16 ? out : std::string();
}

std::uint64_t netns_inode(const std::string& path) noexcept {
  struct stat own {};
  struct stat given {};
  const bool is_netns = ::stat("/proc/self/ns/net", &own) == 0 &&
                        ::stat(path.c_str(), &given) == 0 && own.st_dev == given.st_dev;
  return is_netns ? given.st_ino : 0;
}

}  // namespace cni::host_local
