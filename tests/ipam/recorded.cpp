// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ipam/recorded.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "support/catch.h"

namespace cni::test {

namespace fs = std::filesystem;

namespace {

/// System calls that change no disk, whatever their arguments are.
const std::set<long> kHarmless = {
    SYS_brk,       SYS_clock_gettime, SYS_exit_group,     SYS_faccessat,       SYS_fgetxattr,
    SYS_flock,     SYS_fstat,         SYS_fstatfs,        SYS_futex,           SYS_getdents64,
    SYS_getpid,    SYS_getrandom,     SYS_madvise,        SYS_mprotect,        SYS_munmap,
    SYS_poll,      SYS_newfstatat,    SYS_pread64,        SYS_prlimit64,       SYS_readlinkat,
    SYS_rseq,      SYS_rt_sigaction,  SYS_rt_sigprocmask, SYS_set_robust_list, SYS_set_tid_address,
    SYS_setitimer, SYS_sigaltstack,   SYS_statx,
#ifdef SYS_open  // an old architecture
    SYS_access,    SYS_arch_prctl,    SYS_lstat,          SYS_readlink,        SYS_stat,
#endif
};

/// Turns system calls into changes.
class Recorder {
 public:
  Recorder(const fs::path& root, Disk& before, Disk& disk, std::vector<Change>& changes)
      : root_(root.string()), before_(before), disk_(disk), changes_(changes) {}

  void see(const SystemCall& call) {
    if (kHarmless.contains(call.number)) return;
    INFO("system call " << call.number);
    const bool known = is_opening(call) || is_naming(call) || is_changing(call);
    if (!known) FAIL("not known whether this system call changes the disk");
  }

 private:
  struct Opened {
    int node;
    std::size_t offset = 0;
  };
  /// Where a path leads to.
  struct Place {
    int directory;
    std::string name;
    int node = -1;  // nothing is there
  };

  void note(Change change) {
    apply(disk_, change);
    changes_.push_back(std::move(change));
  }
  int new_node(bool directory, std::uint64_t mode) {
    const int number = disk_.nodes.rbegin()->first + 1;
    const Disk::Node node{.directory = directory, .mode = static_cast<unsigned>(mode & 07777)};
    disk_.nodes[number] = node;
    before_.nodes[number] = node;  // without a name it cannot be seen
    return number;
  }
  void name(const Place& place, int node) {
    note({.kind = Change::Kind::kName,
          .node = node,
          .directory = place.directory,
          .name = place.name});
  }
  void unname(const Place& place) {
    note({.kind = Change::Kind::kUnname,
          .node = place.node,
          .directory = place.directory,
          .name = place.name});
  }

  /// nullopt: on another disk.
  std::optional<Place> find(int at, const std::string& path) {
    int directory = Disk::kRoot;
    std::string rest = path;
    if (path.starts_with('/')) {
      if (path != root_ && !path.starts_with(root_ + "/")) return std::nullopt;
      rest = path.substr(root_.size());
    } else {
      const auto opened = files_.find(at);
      if (opened == files_.end()) return std::nullopt;
      directory = opened->second.node;
    }
    Place place{directory, ".", directory};
    for (const fs::path& part : fs::path(rest).relative_path()) {
      if (part == ".") continue;
      REQUIRE(place.node >= 0);
      const auto& entries = disk_.nodes.at(place.node).entries;
      const auto found = entries.find(part.string());
      place = {place.node, part.string(), found == entries.end() ? -1 : found->second};
    }
    return place;
  }

  void opened(const SystemCall& call, int at, const std::string& path, std::uint64_t flags,
              std::uint64_t mode) {
    if (call.result < 0) return;
    const int number = static_cast<int>(call.result);
    files_.erase(number);
    auto place = find(at, path);
    if (!place) return;
    REQUIRE((flags & O_APPEND) == 0);
    const bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    if (unnamed) {
      place->node = new_node(false, mode);
    } else if (place->node < 0) {
      place->node = new_node(false, mode);
      name(*place, place->node);
    } else if ((flags & O_TRUNC) != 0) {
      note({.kind = Change::Kind::kSize, .node = place->node});
    }
    files_[number] = {place->node};
  }

  bool is_opening(const SystemCall& call) {
    const auto& arguments = call.arguments;
    switch (call.number) {
#ifdef SYS_open
      case SYS_open:
        opened(call, AT_FDCWD, call.text(0), arguments[1], arguments[2]);
        return true;
#endif
      case SYS_openat:
        opened(call, call.descriptor(0), call.text(1), arguments[2], arguments[3]);
        return true;
      case SYS_close:
        files_.erase(call.descriptor(0));
        return true;
      case SYS_read:
        if (const auto file = files_.find(call.descriptor(0)); file != files_.end()) {
          file->second.offset += static_cast<std::size_t>(std::max<std::int64_t>(call.result, 0));
        }
        return true;
      case SYS_fcntl:
        return arguments[1] != F_DUPFD && arguments[1] != F_DUPFD_CLOEXEC;
      case SYS_mmap:
        return (arguments[3] & MAP_SHARED) == 0 || !files_.contains(call.descriptor(4));
      default:
        return false;
    }
  }

  void make_directory(const SystemCall& call, int at, const std::string& path, std::uint64_t mode) {
    if (call.result < 0) return;
    if (const auto place = find(at, path)) name(*place, new_node(true, mode));
  }
  void remove(const SystemCall& call, int at, const std::string& path) {
    if (call.result < 0) return;
    if (const auto place = find(at, path)) unname(*place);
  }
  void rename(const SystemCall& call, std::optional<Place> from, const std::optional<Place>& to) {
    if (call.result < 0 || (!from && !to)) return;
    REQUIRE((from && to));
    name(*to, from->node);
    unname(*from);
  }
  void link(const SystemCall& call) {
    constexpr std::string_view kDescriptors = "/proc/self/fd/";
    if (call.result < 0) return;
    const auto to = find(call.descriptor(2), call.text(3));
    const std::string path = call.text(1);
    int node = -1;
    if (path.starts_with(kDescriptors)) {
      node = files_.at(std::stoi(path.substr(kDescriptors.size()))).node;
    } else if (const auto from = find(call.descriptor(0), path)) {
      node = from->node;
    }
    if (!to && node < 0) return;
    REQUIRE((to && node >= 0));
    name(*to, node);
  }

  bool is_naming(const SystemCall& call) {
    switch (call.number) {
#ifdef SYS_open
      case SYS_mkdir:
        make_directory(call, AT_FDCWD, call.text(0), call.arguments[1]);
        return true;
      case SYS_unlink:
        remove(call, AT_FDCWD, call.text(0));
        return true;
      case SYS_rename:
        if (call.result == 0) {
          rename(call, find(AT_FDCWD, call.text(0)), find(AT_FDCWD, call.text(1)));
        }
        return true;
#endif
      case SYS_mkdirat:
        make_directory(call, call.descriptor(0), call.text(1), call.arguments[2]);
        return true;
      case SYS_unlinkat:
        remove(call, call.descriptor(0), call.text(1));
        return true;
      case SYS_renameat2:
        if (call.result == 0) {
          rename(call, find(call.descriptor(0), call.text(1)),
                 find(call.descriptor(2), call.text(3)));
        }
        return call.arguments[4] == 0;
      case SYS_linkat:
        link(call);
        return true;
      default:
        return false;
    }
  }

  void touched(const SystemCall& call) {
    // Only the time of the content matters.
    timespec times[2];
    const std::string bytes = call.bytes(2, sizeof times);
    std::memcpy(times, bytes.data(), sizeof times);
    REQUIRE(call.arguments[1] == 0);
    REQUIRE((times[1].tv_nsec != UTIME_NOW && times[1].tv_nsec != UTIME_OMIT));
    note({.kind = Change::Kind::kTime,
          .node = files_.at(call.descriptor(0)).node,
          .time = times[1]});
  }

  bool is_changing(const SystemCall& call) {
    using Kind = Change::Kind;
    const auto& arguments = call.arguments;
    if (call.number == SYS_sync) {
      note({.kind = Kind::kSync, .node = -1});
      return true;
    }
    const std::set<long> with_descriptor = {SYS_write, SYS_pwrite64,  SYS_ftruncate, SYS_fsetxattr,
                                            SYS_fsync, SYS_fdatasync, SYS_syncfs,    SYS_utimensat};
    if (!with_descriptor.contains(call.number)) return false;
    const auto file = files_.find(call.descriptor(0));
    if (call.result < 0 || file == files_.end()) return true;
    const int node = file->second.node;
    switch (call.number) {
      case SYS_write:
      case SYS_pwrite64: {
        const auto size = static_cast<std::size_t>(call.result);
        const bool here = call.number == SYS_pwrite64;
        const std::size_t offset = here ? arguments[3] : file->second.offset;
        note({.kind = Kind::kData, .node = node, .content = call.bytes(1, size), .offset = offset});
        if (!here) file->second.offset += size;
        break;
      }
      case SYS_ftruncate:
        note({.kind = Kind::kSize, .node = node, .offset = arguments[1]});
        break;
      case SYS_fsetxattr:
        note({.kind = Kind::kAttribute,
              .node = node,
              .name = call.text(1),
              .content = call.bytes(2, arguments[3])});
        break;
      case SYS_utimensat:
        touched(call);
        break;
      default:
        note({.kind = Kind::kSync, .node = call.number == SYS_syncfs ? -1 : node});
    }
    return true;
  }

  std::string root_;
  Disk& before_;
  Disk& disk_;
  std::vector<Change>& changes_;
  std::map<int, Opened> files_;
};

}  // namespace

Recording::Recording(fs::path root, std::string attribute)
    : root_(std::move(root)),
      attribute_(std::move(attribute)),
      before_(Disk::read(root_, attribute_)),
      after_(before_) {}

void Recording::run(const Call& call, const std::string& conf,
                    const std::vector<Refusal>& refusals) {
  Recorder recorder(root_, before_, after_, changes_);
  watch(call, conf, refusals, [&](const SystemCall& system_call) { recorder.see(system_call); });
  REQUIRE(after_.text(Disk::Times::kNo) == Disk::read(root_, attribute_).text(Disk::Times::kNo));
}

}  // namespace cni::test
