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

Stamp current_stamp(const std::string& netns_path) {
  Stamp out{current_boot(), 0};
  struct stat own {};
  struct stat given {};
  if (::stat("/proc/self/ns/net", &own) == 0 && ::stat(netns_path.c_str(), &given) == 0 &&
      own.st_dev == given.st_dev) {
    out.netns = given.st_ino;
  }
  return out;
}

}  // namespace cni::host_local
