// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "store.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"

namespace cni::host_local {
namespace {

constexpr unsigned kDirectoryMode = 0755;
constexpr unsigned kLeaseMode = 0600;
constexpr unsigned kLockMode = 0750;
constexpr std::size_t kMaxLease = 160U << 10;  // an id has at most the 128 KiB of a variable
constexpr std::string_view kPointerPrefix = "last_reserved_ip.";
constexpr const char* kStampAttribute = "user.cnipp";
constexpr const char* kTemporary = ".lease.tmp";
// A name that no network can have.
constexpr std::string_view kIndexDirectory = "/.cnipp";
constexpr Timestamp kStampAge = 5 * kSecond;
constexpr std::int64_t kMaxAge = 60;  // seconds

/// Never 0.
Index::OwnerHash hash_of(const Attachment& owner) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a; whoever is found is compared in full
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  add(owner.container_id);
  add("\n");
  add(owner.ifname);
  return hash == 0 ? 1 : hash;
}

Index::OwnerHash hash_of(const Lease& lease) { return lease.owner ? hash_of(*lease.owner) : 0; }

std::optional<NetNsIdentity> read_stamp(int fd) {
  char value[96];
  const ssize_t size = ::fgetxattr(fd, kStampAttribute, value, sizeof value);
  if (size <= 0) return std::nullopt;
  return parse_stamp({value, static_cast<std::size_t>(size)});
}

bool is_regular(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/// Neither a file nor a directory.
bool is_special(int dir, const std::string& name) {
  struct stat info {};
  return ::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(info.st_mode) &&
         !S_ISDIR(info.st_mode);
}

/// A file without a name in the directory, or, where the file system has none of those, a hidden
/// one. Under the lock nobody else uses that name; what a killed process left of it is replaced.
Fd open_temporary(int dir, bool& named) {
  Fd fd(::openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, kLeaseMode));
  named = !fd.valid() && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
  if (!named) return fd;
  ::unlinkat(dir, kTemporary, 0);
  return Fd(::openat(dir, kTemporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, kLeaseMode));
}

int link_temporary(int dir, int fd, bool named, const char* name) {
  if (named) return ::linkat(dir, kTemporary, dir, name, 0);
  if (::linkat(fd, "", dir, name, AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOENT) return -1;
  // Without CAP_DAC_READ_SEARCH the kernel wants the way through /proc.
  return ::linkat(AT_FDCWD, concat("/proc/self/fd/", fd).c_str(), dir, name, AT_SYMLINK_FOLLOW);
}

}  // namespace

Store::Store(std::string data_dir, const std::string& network, Fd dir, FileLock lock)
    : data_dir_(std::move(data_dir)),
      path_(concat(data_dir_, "/", network)),
      index_path_(concat(data_dir_, kIndexDirectory, "/", network, ".index")),
      boot_(boot_id()),
      dir_(std::move(dir)),
      lock_(std::move(lock)) {
  struct stat info {};
  if (::fstat(dir_.get(), &info) != 0) throw_errno(concat("stat ", quote(path_)));
  state_ = Index::State::of(info, boot_);
  if (auto index = Index::open(index_path_, state_)) {
    index_ = std::move(*index);
  } else {
    ::unlink(index_path_.c_str());  // no later state may be taken for the one it speaks of
    refresh();
  }
}

Store::~Store() {
  if (!dir_.valid()) return;  // moved from
  try {
    save_index();
  } catch (const std::exception& error) {
    log::warn(concat("save ", index_path_, ": ", error.what()));
  }
}

Store Store::open(const std::string& data_dir, const std::string& network) {
  if (auto store = open_if_exists(data_dir, network)) return std::move(*store);
  make_directories(concat(data_dir, "/", network), kDirectoryMode);
  if (auto store = open_if_exists(data_dir, network)) return std::move(*store);
  throw Error(ErrorCode::kTryAgain,
              concat("directory ", quote(concat(data_dir, "/", network)), " was removed"));
}

std::optional<Store> Store::open_if_exists(const std::string& data_dir,
                                           const std::string& network) {
  const std::string path = concat(data_dir, "/", network);
  Fd dir = open_file_if_exists(path, O_RDONLY | O_DIRECTORY);
  if (!dir.valid()) return std::nullopt;
  const std::string lock_path = concat(path, "/lock");
  // Not through a link, which could have us make a file anywhere.
  Fd lock(::openat(dir.get(), "lock", O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                   kLockMode));
  if (!lock.valid()) throw_errno(concat("open ", quote(lock_path)));
  return Store(data_dir, network, std::move(dir), FileLock::acquire(std::move(lock), lock_path));
}

void Store::require_writable(const std::string& data_dir, const std::string& network) {
  std::string path = concat(data_dir, "/", network);
  // "/.": a file in the place of a directory is no use either.
  while (::access(concat(path, "/.").c_str(), W_OK | X_OK) != 0) {
    const auto slash = path.find_last_of('/');
    if (errno != ENOENT || path == "/" || path == ".")
      throw_errno(concat("write to ", quote(path)));
    path = slash == path.npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
  }
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) return;
  const bool full =
      (disk.f_blocks > 0 && disk.f_bfree == 0) || (disk.f_files > 0 && disk.f_ffree == 0);
  if (full) throw KernelError(ENOSPC, concat("write to ", quote(path)), {}, ErrorCode::kIo);
}

std::string Store::path_of(const IpAddress& address) const {
  return concat(path_, "/", address.text());
}

std::optional<Lease> Store::read_lease(const std::string& name, bool with_stamp) const {
  const auto address = address_of_name(name);
  if (!address) return std::nullopt;
  Lease lease;
  lease.address = *address;
  // O_NONBLOCK: a FIFO of this name must not hang us.
  const Fd fd(::openat(dir_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT) return std::nullopt;
    if (errno != ELOOP && errno != ENXIO) throw_errno(concat("open ", quote(path_of(*address))));
    lease.regular = false;
    return lease;
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw_errno(concat("stat ", quote(path_of(*address))));
  lease.regular = S_ISREG(info.st_mode);
  lease.made = nanoseconds(info.st_mtim);
  if (!lease.regular) return lease;
  char buffer[kMaxLease];
  const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
  if (got < 0) throw_errno(concat("read ", quote(path_of(*address))));
  const auto content = LeaseContent::parse({buffer, static_cast<std::size_t>(got)});
  if (content && static_cast<std::size_t>(got) < sizeof buffer) lease.owner = content->owner;
  if (with_stamp) lease.stamp = read_stamp(fd.get());
  return lease;
}

std::vector<Lease> Store::read_all_leases(bool with_stamps) {
  Fd copy(::openat(dir_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy.valid()) throw_errno(concat("open ", quote(path_)));
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(copy.get()), ::closedir);
  if (!dir) throw_errno(concat("read ", quote(path_)));
  [[maybe_unused]] const int owned_by_dir = copy.release();
  std::vector<Lease> out;
  // Sub-directories may be other networks' dataDirs: no walk into them.
  for (errno = 0; const dirent* entry = ::readdir(dir.get()); errno = 0) {
    auto lease = read_lease(entry->d_name, with_stamps);
    if (lease) out.push_back(std::move(*lease));
  }
  if (errno != 0) throw_errno(concat("read ", quote(path_)));
  index_ = Index::make(out.size(), with_stamps ? Index::clock() : Index::kNever);
  for (const Lease& lease : out) {
    index_.insert(brief_of(lease, boot_), hash_of(lease));
  }
  fresh_ = true;
  unsettled_ = false;
  return out;
}

std::vector<Lease> Store::scan() { return read_all_leases(true); }

bool Store::refresh() {
  if (fresh_ && !index_.damaged()) return false;
  const log::Step timed("read all leases");
  read_all_leases(false);
  return true;
}

std::vector<Brief> Store::survey() {
  const std::int64_t age = index_.age();
  // Negative: the clock of another time namespace.
  if (age < 0 || age > kMaxAge) read_all_leases(true);
  for (;;) {
    std::vector<Brief> out;
    index_.each([&](const Brief& lease) { out.push_back(lease); });
    if (!index_.damaged()) return out;
    read_all_leases(true);
  }
}

std::vector<Lease> Store::find(const Attachment& owner) {
  for (;;) {
    std::vector<Lease> out;
    bool misled = false;
    for (const Attachment& form : {owner, Attachment{owner.container_id, {}}}) {
      for (const IpAddress& address : index_.find(hash_of(form))) {
        auto lease = read_lease(address.text(), true);
        if (lease && lease->owner == form) {
          out.push_back(std::move(*lease));
        } else {
          misled = true;
        }
      }
      if (!out.empty()) break;
    }
    if ((!misled && !index_.damaged()) || !refresh()) return out;
  }
}

std::optional<IpAddress> Store::next_free(const IpAddress& lo, const IpAddress& hi) {
  for (;;) {
    const auto address = index_.next_free(lo, hi);
    if (!index_.damaged() || !refresh()) return address;
  }
}

std::optional<Lease> Store::find(const IpAddress& address) const {
  return read_lease(address.text(), true);
}

bool Store::claim(const IpAddress& address, const Attachment& owner, const NetNsIdentity& netns) {
  const std::string name = address.text();
  const std::string content = LeaseContent{owner}.text();
  if (content.size() >= kMaxLease) {
    throw Error(ErrorCode::kInvalidEnvironment,
                concat("container id of ", owner.container_id.size(), " bytes is too long"));
  }
  bool named = false;
  const Fd fd = open_temporary(dir_.get(), named);
  if (!fd.valid()) throw_errno(concat("create a lease file in ", quote(path_)));
  write_all(fd.get(), content, quote(path_of(address)));
  Lease lease{.address = address, .owner = owner, .stamp = netns, .made = now()};
  const std::string value = stamp_text(netns);
  if (boot_.empty() || ::fsetxattr(fd.get(), kStampAttribute, value.data(), value.size(), 0) != 0) {
    lease.stamp.reset();
    // Not every file system has them: such a lease is never taken for dead.
    log::debug(concat("no extended attributes in ", quote(path_)));
  }
  // The kernel's own time stamps are as coarse as its ticks, and GC goes by them.
  const timespec times[2] = {{0, UTIME_OMIT}, time_of(lease.made)};
  ::futimens(fd.get(), times);
  unsettled_ = true;
  const int linked = link_temporary(dir_.get(), fd.get(), named, name.c_str());
  const int error = linked == 0 ? 0 : errno;
  if (named) ::unlinkat(dir_.get(), kTemporary, 0);
  if (error != 0) unsettled_ = false;
  if (error == EEXIST) return false;
  if (error != 0) {
    throw KernelError(error, concat("create ", quote(path_of(address))), {}, ErrorCode::kIo);
  }
  index_.insert(brief_of(lease, boot_), hash_of(owner));
  unsettled_ = false;
  return true;
}

void Store::release(const Lease& lease) {
  unsettled_ = true;
  if (::unlinkat(dir_.get(), lease.address.text().c_str(), 0) != 0 && errno != ENOENT) {
    throw_errno(concat("remove ", quote(path_of(lease.address))));
  }
  index_.erase(lease.address, hash_of(lease));
  unsettled_ = false;
}

std::optional<IpAddress> Store::last_reserved(std::size_t set) const {
  const std::string name = concat(kPointerPrefix, set);
  const Fd fd(::openat(dir_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return std::nullopt;
  char buffer[64];
  const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
  if (got <= 0) return std::nullopt;
  return IpAddress::try_parse({buffer, static_cast<std::size_t>(got)});
}

void Store::set_last_reserved(std::size_t set, const IpAddress& address) {
  const std::string name = concat(kPointerPrefix, set);
  const std::string path = concat(path_, "/", name);
  const auto open = [&] {
    Fd fd(::openat(dir_.get(), name.c_str(),
                   O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kLeaseMode));
    return fd.valid() && !is_regular(fd.get()) ? Fd() : std::move(fd);
  };
  Fd fd = open();
  if (!fd.valid() && is_special(dir_.get(), name)) {  // a link, a FIFO: nothing of ours
    ::unlinkat(dir_.get(), name.c_str(), 0);
    fd = open();
  }
  if (!fd.valid()) throw_errno(concat("open ", quote(path)));
  // Rewritten in place: whatever a crash leaves is only where the next search begins.
  const std::string text = address.text();
  write_all(fd.get(), text, quote(path));
  if (::ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0) {
    throw_errno(concat("truncate ", quote(path)));
  }
}

Liveness Store::liveness() const {
  // Kinds of disks that cannot be shared between hosts. XFS and F2FS have no name in older headers.
  constexpr long kXfs = 0x58465342;
  constexpr long kF2fs = 0xf2f52010;
  struct statfs disk {};
  bool local = ::fstatfs(dir_.get(), &disk) == 0;
  switch (disk.f_type) {
    case EXT4_SUPER_MAGIC:
    case kXfs:
    case BTRFS_SUPER_MAGIC:
    case kF2fs:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
      break;
    default:
      local = false;
  }
  return {boot_, local};
}

/// Puts the directory into a state that no change by others can leave unnoticed. Time stamps of the
/// kernel are as coarse as its ticks, so a change right after ours could leave the same one; a
/// stamp from the past is ours alone. It also differs from the one the index file speaks of, which
/// only matters on disks that keep whole seconds: that file would count again if we died now.
std::optional<Index::State> Store::stamp_directory() const {
  const Timestamp moment = now() - kStampAge;
  for (const Timestamp age : {0, 1, 2}) {
    const timespec times[2] = {{0, UTIME_OMIT}, time_of(moment - age * 2 * kSecond)};
    struct stat info {};
    if (::futimens(dir_.get(), times) != 0 || ::fstat(dir_.get(), &info) != 0) break;
    const Index::State state = Index::State::of(info, boot_);
    if (state != state_) return state;
  }
  return std::nullopt;
}

void Store::save_index() {
  if (unsettled_ || index_.damaged() || !index_.changed()) return;
  const auto state = stamp_directory();
  if (state && index_.save(index_path_, *state)) return;
  ::mkdir(concat(data_dir_, kIndexDirectory).c_str(), 0700);
  if (!state || !index_.save(index_path_, *state)) {
    log::debug(concat("cannot write ", quote(index_path_)));
  }
}

}  // namespace cni::host_local
