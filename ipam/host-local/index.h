// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "lease.h"
#include "model/ip.h"
#include "paged_table.h"

namespace cni::host_local {

/// Which addresses are taken, by whom and since when: a picture of the lease files, so that no verb
/// has to read them all. It is kept in a file beside the network's directory and is never trusted
/// further than it can be checked: the file names the state of the directory it is a picture of,
/// every page has a check sum, and the lease file itself has the last word
/// (docs/decisions/0010-lease-index.md).
class Index {
 public:
  /// An owner's hash; 0 stands for "nobody known", who cannot be found.
  using OwnerHash = std::uint64_t;

  /// The state of a directory: any change of its entries changes it, and every boot.
  struct State {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    std::array<char, 16> boot{};

    [[nodiscard]] static State of(const struct stat& info, const std::string& boot);
    friend bool operator==(const State&, const State&) = default;
  };

  /// Seconds since the boot.
  static std::int64_t clock() noexcept;
  static constexpr std::int64_t kNever = -(std::int64_t{1} << 40);
  /// An empty one in memory with room for `leases`. `read`: when the files were read with their
  /// stamps, by clock().
  static Index make(std::size_t leases, std::int64_t read = clock());
  /// The one in the file; nullopt when it is missing, damaged, of another version, or a picture of
  /// another state.
  static std::optional<Index> open(const std::string& path, const State& state);
  /// Makes the file a picture of `state`. False when that fails; the file is then of no use to
  /// open.
  bool save(const std::string& path, const State& state);

  void insert(const Brief& lease, OwnerHash owner);
  /// Proves the index wrong when it does not have it.
  void erase(const IpAddress& address, OwnerHash owner);
  [[nodiscard]] std::vector<IpAddress> find(OwnerHash owner);
  /// The first address of [lo, hi] that is not taken.
  [[nodiscard]] std::optional<IpAddress> next_free(const IpAddress& lo, const IpAddress& hi);

  /// Calls visit(brief) for all leases.
  template <typename Visit>
  void each(Visit visit) {
    owners_.each([&](const Owner& slot) {
      visit(Brief{slot.address.address(), slot.origin, slot.cookie, slot.made});
    });
  }

  /// How many seconds ago all files were read with their stamps.
  [[nodiscard]] std::int64_t age() const noexcept { return clock() - read_; }
  /// Something of the file could not be read, or was wrong: no answer since opening counts.
  [[nodiscard]] bool damaged() const noexcept {
    return wrong_ || owners_.damaged() || chunks_.damaged();
  }
  [[nodiscard]] bool changed() const noexcept { return changed_; }

 private:
  /// An address as a number; IPv4 is where IPv6 maps it.
  struct Number {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    [[nodiscard]] static Number of(const IpAddress& address);
    [[nodiscard]] IpAddress address() const;
    [[nodiscard]] Number chunk() const noexcept { return {high, low & ~std::uint64_t{0xff}}; }
    [[nodiscard]] unsigned bit() const noexcept { return static_cast<unsigned>(low & 0xff); }
    friend bool operator==(const Number&, const Number&) = default;
  };
  struct Owner {
    static constexpr std::uint64_t kTable = 1;
    OwnerHash owner = 0;
    Number address;
    Origin origin = kNoStamp;
    std::uint64_t cookie = 0;
    Timestamp made = 0;
    [[nodiscard]] std::uint64_t hash() const noexcept { return owner; }
  };
  /// 256 neighbouring addresses; a set bit is a taken one. Empty chunks have no slot.
  struct Chunk {
    static constexpr std::uint64_t kTable = 2;
    Number first;
    std::array<std::uint64_t, 4> taken{};
    [[nodiscard]] std::uint64_t hash() const noexcept { return mix(first.high) ^ first.low; }
    [[nodiscard]] std::optional<unsigned> first_free(unsigned from, unsigned to) const noexcept;
  };
  struct Header;

  Chunk* find_chunk(const Number& first);
  void grow();

  Fd file_;  // invalid: in memory only
  PagedTable<Owner> owners_;
  PagedTable<Chunk> chunks_;
  std::int64_t read_ = 0;
  bool changed_ = false;
  bool wrong_ = false;
};

}  // namespace cni::host_local
