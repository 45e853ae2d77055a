// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni::sysctl {
namespace {

constexpr std::string_view kRoot = "/proc/sys/";

std::string content(int fd, const std::string& name) {
  std::string text = read_all(fd, concat("sysctl ", name));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

std::optional<std::string> read(const std::string& name) {
  const Fd fd = open_file_if_exists(concat(kRoot, name), O_RDONLY);
  if (!fd.valid()) return std::nullopt;
  return content(fd.get(), name);
}

bool write(const std::string& name, std::string_view value) {
  // Reading first: a value that is already right is no change, and needs no writable /proc/sys.
  const auto now = read(name);
  if (!now) return false;
  if (*now == value) return true;
  const Fd fd = open_file(concat(kRoot, name), O_WRONLY);
  if (::write(fd.get(), value.data(), value.size()) < 0) {
    throw_errno(concat("write ", quote(value), " to sysctl ", name));
  }
  return true;
}

std::string link_entry(std::string_view family, std::string_view link, std::string_view key) {
  return concat("net/", family, "/conf/", link, "/", key);
}

}  // namespace cni::sysctl
