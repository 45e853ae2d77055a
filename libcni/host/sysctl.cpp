// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "host/sysctl.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni::sysctl {
namespace {

constexpr std::string_view kRoot = "/proc/sys/";
constexpr std::string_view kIfname = "IFNAME";
constexpr std::string_view kBlanks = " \t\n";

/// Negative: errno tells.
int open_entry(const std::string& name, int flags) {
  const std::string path = concat(kRoot, name);
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how);
  if (fd >= 0) return static_cast<int>(fd);
  // Before Linux 5.6, or a filter that does not know the call.
  if (errno != ENOSYS && errno != EPERM) return -1;
  return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW);
}

/// The value at an entry's beginning, without its line end.
std::string content(int fd, const std::string& name) {
  char buffer[1024];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got < 0) throw_errno(concat("read sysctl ", name));
  std::string text(buffer, static_cast<std::size_t>(got));
  // Only a full buffer means that there may be more.
  if (text.size() == sizeof buffer) text += read_all(fd, concat("sysctl ", name));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

void put(int fd, const std::string& name, std::string_view value) {
  // Nothing would be written of an empty text, which is the value of an empty list.
  if (value.empty()) value = "\n";
  if (::pwrite(fd, value.data(), value.size(), 0) < 0) {
    throw_errno(concat("write ", quote(value), " to sysctl ", name));
  }
}

std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> out;
  for (std::size_t begin = 0;;) {
    const auto end = text.find_first_of(separators, begin);
    out.emplace_back(text.substr(begin, end == text.npos ? end : end - begin));
    if (end == text.npos) return out;
    begin = end + 1;
  }
}

/// The parts of a dotted interface name, where they follow each other, become one again.
void join_ifname(std::vector<std::string>& parts, std::string_view ifname) {
  const std::vector<std::string> name = split(ifname, ".");
  if (name.size() == 1) return;
  const auto found = std::search(parts.begin(), parts.end(), name.begin(), name.end());
  if (found == parts.end()) return;
  *found = ifname;
  parts.erase(found + 1, found + static_cast<std::ptrdiff_t>(name.size()));
}

}  // namespace

std::optional<std::string> read(const std::string& name) {
  const Fd fd(open_entry(name, O_RDONLY));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw_errno(concat("open sysctl ", name));
  }
  return content(fd.get(), name);
}

bool write(const std::string& name, std::string_view value) {
  const Fd fd(open_entry(name, O_RDWR));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    // Where /proc/sys cannot be written: a value that is already right is no change.
    const auto now = read(name);
    if (now && *now != value) assign(name, value);
    return now.has_value();
  }
  if (content(fd.get(), name) != value) put(fd.get(), name, value);
  return true;
}

void assign(const std::string& name, std::string_view value) {
  const Fd fd(open_entry(name, O_WRONLY));
  if (!fd.valid()) throw_errno(concat("open sysctl ", name));
  put(fd.get(), name, value);
}

bool is_writable(const std::string& name) {
  return ::access(concat(kRoot, name).c_str(), W_OK) == 0;
}

bool same_value(std::string_view a, std::string_view b) {
  const auto next = [](std::string_view& rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
    const std::string_view field = rest.substr(0, rest.find_first_of(kBlanks));
    rest.remove_prefix(field.size());
    return field;
  };
  for (;;) {
    const std::string_view field = next(a);
    if (field != next(b)) return false;
    if (field.empty()) return true;
  }
}

std::string entry_of(std::string_view key, std::string_view ifname) {
  const auto first = key.find_first_of("./");
  const bool dotted = first == key.npos || key[first] == '.';
  std::vector<std::string> parts = split(key, dotted ? "./" : "/");
  if (dotted) join_ifname(parts, ifname);
  for (std::string& part : parts) {
    const auto at = part.find(kIfname);
    if (at == part.npos) continue;
    part.replace(at, kIfname.size(), ifname);
    break;
  }
  const bool valid =
      parts.size() > 1 && parts.front() == "net" &&
      std::ranges::none_of(parts, [](const std::string& part) {
        return part.empty() || part == "." || part == ".." || part.find('\0') != part.npos;
      });
  if (!valid) {
    throw Error(ErrorCode::kInvalidConfig, concat("invalid net sysctl key: ", quote(key)),
                "only entries below net can be set");
  }
  std::string entry;
  for (const std::string& part : parts) entry += concat(entry.empty() ? "" : "/", part);
  return entry;
}

std::string link_entry(std::string_view family, std::string_view link, std::string_view key) {
  return concat("net/", family, "/conf/", link, "/", key);
}

}  // namespace cni::sysctl
