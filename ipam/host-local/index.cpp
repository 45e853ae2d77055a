// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "index.h"

#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <bit>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"

namespace cni::host_local {
namespace {

constexpr std::array<char, 8> kMagic = {'c', 'n', 'i', 'p', 'p', 'i', 'd', 'x'};
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kMappedV4 = 0xffff'0000'0000;
constexpr unsigned kFileMode = 0600;

/// What stands for the owner of a lease that names nobody; spread, for there can be many.
Index::OwnerHash nobody_at(const IpAddress& address) {
  std::uint64_t hash = 0;
  for (const std::uint8_t byte : address.bytes()) hash = mix(hash << 8 ^ byte ^ hash >> 56);
  return hash;
}

}  // namespace

struct Index::Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t owner_pages = 0;
  std::uint32_t chunk_pages = 0;
  std::uint32_t reserved = 0;
  std::uint64_t owners = 0;
  std::uint64_t chunks = 0;
  std::int64_t read = 0;
  State state;
  std::uint64_t sum = 0;

  [[nodiscard]] std::uint64_t expected_sum() const noexcept {
    return checksum(this, offsetof(Header, sum), kVersion);
  }
  /// Every number, for a file of this size.
  [[nodiscard]] bool valid(off_t size) const noexcept {
    const std::size_t pages = 1 + std::size_t{owner_pages} + chunk_pages;
    return magic == kMagic && version == kVersion && sum == expected_sum() &&
           PagedTable<Owner>::can_hold(owner_pages, owners) &&
           PagedTable<Chunk>::can_hold(chunk_pages, chunks) &&
           static_cast<std::uint64_t>(size) >= pages * kPageSize && read >= kNever &&
           read <= -kNever;
  }
};

std::uint64_t checksum(const void* data, std::size_t size, std::uint64_t seed) noexcept {
  const char* bytes = static_cast<const char*>(data);
  std::uint64_t sum = mix(seed + size);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, sizeof word);
    sum = std::rotl((sum ^ word) * 0x9e3779b97f4a7c15, 29);
  }
  return mix(sum);
}

Index::State Index::State::of(const struct stat& info, const std::string& boot) {
  State out{info.st_dev, info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, {}};
  std::copy_n(boot.begin(), std::min(boot.size(), out.boot.size()), out.boot.begin());
  return out;
}

Index::Number Index::Number::of(const IpAddress& address) {
  Number out;
  for (const std::uint8_t byte : address.bytes()) {
    out.high = out.high << 8 | out.low >> 56;
    out.low = out.low << 8 | byte;
  }
  if (address.is_v4()) out.low |= kMappedV4;
  return out;
}

IpAddress Index::Number::address() const {
  if (high == 0 && low >> 32 == kMappedV4 >> 32) {
    return IpAddress::v4(static_cast<std::uint32_t>(low));
  }
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
    bytes[i + 8] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
  }
  return IpAddress::from_bytes(Family::kV6, bytes);
}

std::optional<unsigned> Index::Chunk::first_free(unsigned from, unsigned to) const noexcept {
  for (unsigned word = from / 64; word <= to / 64; ++word) {
    std::uint64_t free = ~taken[word];
    if (word == from / 64) free &= ~std::uint64_t{0} << (from % 64);
    if (free == 0) continue;
    const unsigned bit = word * 64 + static_cast<unsigned>(std::countr_zero(free));
    return bit <= to ? std::optional(bit) : std::nullopt;
  }
  return std::nullopt;
}

std::int64_t Index::clock() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return time.tv_sec;
}

Index Index::make(std::size_t leases, std::int64_t read) {
  Index out;
  out.read_ = read;
  out.owners_ = PagedTable<Owner>::make(leases);
  out.chunks_ = PagedTable<Chunk>::make(leases / 128);
  out.changed_ = true;
  return out;
}

std::optional<Index> Index::open(const std::string& path, const State& state) {
  Index out;
  // Whoever cannot write it could not keep it right either.
  out.file_ = Fd(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  Header header;
  struct stat info {};
  if (!out.file_.valid() || ::fstat(out.file_.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      ::pread(out.file_.get(), &header, sizeof header, 0) != ssize_t{sizeof header} ||
      !header.valid(info.st_size) || header.state != state) {
    return std::nullopt;
  }
  const int fd = out.file_.get();
  out.read_ = header.read;
  out.owners_ = PagedTable<Owner>::of_file(fd, kPageSize, header.owner_pages, header.owners);
  out.chunks_ = PagedTable<Chunk>::of_file(fd, kPageSize * (1 + std::size_t{header.owner_pages}),
                                           header.chunk_pages, header.chunks);
  return out;
}

bool Index::save(const std::string& path, const State& state) {
  Header header;
  header.owner_pages = static_cast<std::uint32_t>(owners_.pages());
  header.chunk_pages = static_cast<std::uint32_t>(chunks_.pages());
  header.owners = owners_.count();
  header.chunks = chunks_.count();
  header.read = read_;
  header.state = state;
  header.sum = header.expected_sum();
  if (damaged()) return false;
  if (file_.valid()) {
    // The header last: until then it speaks of a state that the directory has left.
    return owners_.write_changes() && chunks_.write_changes() &&
           ::pwrite(file_.get(), &header, sizeof header, 0) == ssize_t{sizeof header};
  }
  std::string content(reinterpret_cast<const char*>(&header), sizeof header);
  content.resize(kPageSize);
  owners_.append_to(content);
  chunks_.append_to(content);
  // One name for all: only the holder of the network's lock writes it, and what a killed process
  // left is overwritten.
  const std::string temp = concat(path, ".tmp");
  const Fd fd(
      ::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!fd.valid()) return false;
  try {
    write_all(fd.get(), content, temp);
  } catch (const Error&) {
    ::unlink(temp.c_str());
    return false;
  }
  return ::rename(temp.c_str(), path.c_str()) == 0;
}

Index::Chunk* Index::find_chunk(const Number& first) {
  return chunks_.find(Chunk{.first = first}.hash(),
                      [&](const Chunk& chunk) { return chunk.first == first; });
}

void Index::grow() {
  Index bigger;
  bigger.read_ = read_;
  bigger.owners_ = PagedTable<Owner>::make(owners_.count() * 2);
  bigger.chunks_ = PagedTable<Chunk>::make(chunks_.count() * 2);
  owners_.each([&](const Owner& slot) { bigger.owners_.insert(slot); });
  chunks_.each([&](const Chunk& slot) { bigger.chunks_.insert(slot); });
  if (damaged()) return;
  *this = std::move(bigger);
  changed_ = true;
}

void Index::insert(const Brief& lease, OwnerHash owner) {
  changed_ = true;
  if (owners_.crowded() || chunks_.crowded()) grow();
  const Number number = Number::of(lease.address);
  owners_.insert({owner != 0 ? owner : nobody_at(lease.address), number, lease.origin, lease.cookie,
                  lease.made});
  Chunk* chunk = find_chunk(number.chunk());
  if (chunk == nullptr) {
    if (damaged()) return;
    chunks_.insert({.first = number.chunk()});
    chunk = find_chunk(number.chunk());
    if (chunk == nullptr) return;
  }
  chunk->taken[number.bit() / 64] |= std::uint64_t{1} << (number.bit() % 64);
  chunks_.touch(chunk);
}

void Index::erase(const IpAddress& address, OwnerHash owner) {
  changed_ = true;
  const Number number = Number::of(address);
  Owner* const slot = owners_.find(owner != 0 ? owner : nobody_at(address),
                                   [&](const Owner& o) { return o.address == number; });
  if (slot == nullptr) {
    wrong_ = true;
    return;
  }
  owners_.erase(slot);
  Chunk* chunk = find_chunk(number.chunk());
  if (chunk == nullptr) return;
  chunk->taken[number.bit() / 64] &= ~(std::uint64_t{1} << (number.bit() % 64));
  if (chunk->taken == decltype(chunk->taken){}) {
    chunks_.erase(chunk);
  } else {
    chunks_.touch(chunk);
  }
}

std::vector<IpAddress> Index::find(OwnerHash owner) {
  std::vector<IpAddress> out;
  owners_.find(owner, [&](const Owner& slot) {
    out.push_back(slot.address.address());
    return false;
  });
  std::ranges::sort(out);
  return out;
}

std::optional<IpAddress> Index::next_free(const IpAddress& lo, const IpAddress& hi) {
  Number number = Number::of(lo);
  const Number end = Number::of(hi);
  for (;;) {
    const Chunk* chunk = find_chunk(number.chunk());
    if (chunk == nullptr) return number.address();
    const bool last = number.chunk() == end.chunk();
    if (const auto bit = chunk->first_free(number.bit(), last ? end.bit() : 255)) {
      number.low = number.chunk().low | *bit;
      return number.address();
    }
    if (last) return std::nullopt;
    number.low = number.chunk().low + 256;
    if (number.low == 0) ++number.high;
  }
}

}  // namespace cni::host_local
