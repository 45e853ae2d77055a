// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netns/survey.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <unordered_set>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"

namespace cni {
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
    note(proc.valid() && read_link(proc.get(), "self/ns/pid") == sees_all);
    own_mounts_ = read_link(proc.get(), "self/ns/mnt");
    note(each_number(proc.get(), ".", [&](int dir, const char* pid) { process(dir, pid); }));
  }

  NetNsSurvey::Places places;
  bool complete = true;

 private:
  void note(bool could_look) { complete = complete && could_look; }

  /// Mounts last longer than processes.
  void place(std::uint64_t inode, std::string path) {
    std::string& known = places[inode];
    if (!path.empty() && (known.empty() || known.starts_with("/proc/"))) known = std::move(path);
  }

  /// `process` and `name`: the parts of the path below /proc.
  void link(int dir, std::string_view process, const std::string& name) {
    errno = 0;
    if (const auto inode = inode_of(read_link(dir, name.c_str()))) {
      place(*inode, concat("/proc/", process, "/", name));
    } else if (errno != 0) {
      note(!may_not_look(errno));
    }
  }

  void process(int proc, const char* pid) {
    const Fd dir(::openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir.valid()) return note(!may_not_look(errno));
    // Threads can be in namespaces of their own; open files and mounts keep one alive too.
    note(each_number(dir.get(), "task", [&](int, const char* tid) {
      link(dir.get(), pid, concat("task/", tid, "/ns/net"));
    }));
    note(each_number(dir.get(), "fd", [&](int, const char* number) {
      link(dir.get(), pid, concat("fd/", number));
    }));
    if (const std::string mounts = read_link(dir.get(), "ns/mnt");
        !mounts.empty() && seen_mounts_.insert(mounts).second) {
      mount_table(dir.get(), mounts == own_mounts_);
    }
  }

  /// `own`: its paths are ours too. Those of other mount namespaces are nothing to walk: a
  /// container may have put a file system there that never answers.
  void mount_table(int process, bool own) {
    const Fd fd(::openat(process, "mountinfo", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return note(!may_not_look(errno));
    try {
      const std::string table = read_all(fd.get(), "mountinfo");
      std::string_view rest = table;
      while (!rest.empty()) {
        const auto end = rest.find('\n');
        mount(rest.substr(0, end), own);
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
      }
    } catch (const KernelError& error) {
      note(!may_not_look(error.error_number()));
    }
  }

  /// "36 35 0:4 net:[4026532567] /run/netns/blue rw - nsfs nsfs rw"
  void mount(std::string_view line, bool own) {
    const auto at = line.find(kNetPrefix);
    if (at == line.npos) return;
    const auto inode = inode_of(line.substr(at));
    if (!inode) return;
    const auto begin = line.find(' ', at) + 1;
    const std::string_view point = line.substr(begin, line.find(' ', begin) - begin);
    // A blank is "\040" there: nobody puts one into such a path.
    place(*inode, std::string(own && begin != 0 ? point : std::string_view()));
  }

  std::string own_mounts_;
  std::unordered_set<std::string> seen_mounts_;
};

}  // namespace

NetNsSurvey NetNsSurvey::make(std::string_view sees_all) {
  const log::Step timed("look for network namespaces");
  Collector collector;
  // Twice: a process could hand its namespace on to one that the first look has passed already.
  collector.collect(sees_all);
  collector.collect(sees_all);
  return {std::move(collector.places), collector.complete};
}

NetNsSurvey::Finding NetNsSurvey::find(const NetNsIdentity& wanted) const {
  if (wanted.compare({boot_id()}) == NetNsIdentity::Match::kOther) return Finding::kGone;
  if (wanted.inode == 0) return Finding::kUnknown;
  if (!places_.contains(wanted.inode)) return complete_ ? Finding::kGone : Finding::kUnknown;
  const auto netns = open(wanted.inode);
  if (!netns) return Finding::kNumberExists;
  switch (wanted.compare(NetNsIdentity::of(*netns))) {
    case NetNsIdentity::Match::kSame:
      return Finding::kExists;
    case NetNsIdentity::Match::kOther:
      return Finding::kGone;
    case NetNsIdentity::Match::kPossible:
      break;
  }
  return Finding::kNumberExists;
}

std::optional<NetNs> NetNsSurvey::open(std::uint64_t inode) const {
  const auto place = places_.find(inode);
  if (place == places_.end() || place->second.empty()) return std::nullopt;
  // What is in this place by now may be anything. O_PATH: to open a device can do something.
  const Fd found(::open(place->second.c_str(), O_PATH | O_CLOEXEC));
  struct statfs disk {};
  struct stat info {};
  if (!found.valid() || ::fstatfs(found.get(), &disk) != 0 || disk.f_type != NSFS_MAGIC ||
      ::fstat(found.get(), &info) != 0 || info.st_ino != inode) {
    return std::nullopt;
  }
  return NetNs::open_if_exists(concat("/proc/self/fd/", found.get()));
}

}  // namespace cni
