// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "liveness.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

namespace cni::host_local {
namespace {

constexpr std::string_view kNetPrefix = "net:[";

/// Why a look at one process failed: it ended meanwhile, or we may not look.
bool may_not_look(int error) { return error != ENOENT && error != ESRCH && error != EINVAL; }

std::string read_link(int dir, const char* name) {
  char target[128];
  const ssize_t size = ::readlinkat(dir, name, target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
}

std::optional<std::uint64_t> inode_of(std::string_view link) {
  if (!link.starts_with(kNetPrefix)) return std::nullopt;
  link.remove_prefix(kNetPrefix.size());
  std::uint64_t inode = 0;
  const auto [end, error] = std::from_chars(link.data(), link.data() + link.size(), inode);
  return error == std::errc{} ? std::optional(inode) : std::nullopt;
}

/// Calls visit(dir, name) for the entries of a directory whose names begin with a digit. False when
/// the directory is there but cannot be read.
template <typename Visit>
bool each_number(int at, const char* path, Visit visit) {
  Fd fd(::openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return !may_not_look(errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd.get()), ::closedir);
  if (!dir) return false;
  const int number = fd.release();  // owned by dir
  for (errno = 0; const dirent* entry = ::readdir(dir.get()); errno = 0) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') visit(number, entry->d_name);
  }
  return !may_not_look(errno) || errno == 0;
}

/// Collects every network namespace that something in /proc refers to.
class Collector {
 public:
  void collect(std::string_view sees_all) {
    const Fd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!proc.valid() || read_link(proc.get(), "self/ns/pid") != sees_all) {
      complete = false;
      return;
    }
    note(each_number(proc.get(), ".", [&](int dir, const char* pid) { process(dir, pid); }));
  }

  std::unordered_set<std::uint64_t> inodes;
  bool complete = true;

 private:
  void note(bool could_look) { complete = complete && could_look; }

  void link(int dir, const char* name) {
    errno = 0;
    if (const auto inode = inode_of(read_link(dir, name))) {
      inodes.insert(*inode);
    } else if (errno != 0) {
      note(!may_not_look(errno));
    }
  }

  void process(int proc, const char* pid) {
    const Fd dir(::openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir.valid()) return note(!may_not_look(errno));
    // Threads can be in namespaces of their own; open files and mounts keep one alive too.
    note(each_number(dir.get(), "task", [&](int tasks, const char* tid) {
      link(tasks, concat(tid, "/ns/net").c_str());
    }));
    note(each_number(dir.get(), "fd", [&](int fds, const char* number) { link(fds, number); }));
    if (const std::string mounts = read_link(dir.get(), "ns/mnt");
        !mounts.empty() && seen_mounts_.insert(mounts).second) {
      mount_table(dir.get());
    }
  }

  void mount_table(int process) {
    const Fd fd(::openat(process, "mountinfo", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return note(!may_not_look(errno));
    try {
      const std::string table = read_all(fd.get(), "mountinfo");
      for (auto at = table.find(kNetPrefix); at != table.npos;
           at = table.find(kNetPrefix, at + 1)) {
        if (const auto inode = inode_of(std::string_view(table).substr(at))) inodes.insert(*inode);
      }
    } catch (const KernelError& error) {
      note(!may_not_look(error.error_number()));
    }
  }

  std::unordered_set<std::string> seen_mounts_;
};

Timestamp boot_time() {
  timespec up{};
  ::clock_gettime(CLOCK_BOOTTIME, &up);
  return now() - nanoseconds(up);
}

}  // namespace

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

Liveness::Liveness(std::string boot, bool only_this_host, std::optional<Namespaces> namespaces)
    : boot_(std::move(boot)),
      only_this_host_(only_this_host),
      booted_(boot_time()),
      namespaces_(std::move(namespaces)) {}

Liveness::Namespaces Liveness::look_around(std::string_view sees_all) {
  const log::Step timed("look for network namespaces");
  Collector collector;
  // Twice: a process could hand its namespace on to one that the first look has passed already.
  collector.collect(sees_all);
  collector.collect(sees_all);
  return {std::move(collector.inodes), collector.complete};
}

Life Liveness::judge(const Lease& lease) {
  return judge(Brief{lease.address, origin_of(lease, boot_), lease.made});
}

Life Liveness::judge(const Brief& lease) {
  switch (lease.origin) {
    case kTorn:
      // Under the lock nobody is about to write it: what is no lease now never becomes one.
      return Life::kDead;
    case kNoStamp:
      return lease.made < booted_ ? Life::kSuspect : Life::kUnknown;
    case kOtherBoot:
      return only_this_host_ ? Life::kDead : Life::kSuspect;
    case kNoFile:
    case kThisBoot:
      return Life::kUnknown;
    default:
      break;
  }
  if (!namespaces_) namespaces_ = look_around();
  if (namespaces_->inodes.contains(lease.origin)) return Life::kAlive;
  return namespaces_->complete ? Life::kDead : Life::kUnknown;
}

}  // namespace cni::host_local
