// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <unistd.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace cni::host_local {

inline constexpr std::size_t kPageSize = 4096;

/// A good spread of all bits of x.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// A check sum over 8-byte words.
[[nodiscard]] std::uint64_t checksum(const void* data, std::size_t size,
                                     std::uint64_t seed) noexcept;

/// A hash table in pages of a file, of which only those are read that are asked for. Each page has
/// a check sum; one that does not fit its content makes the table `damaged`, and every answer void.
/// A slot is a plain struct with `std::uint64_t hash() const` and a number of its own, `kTable`: no
/// page is taken for one of another table.
template <typename Slot>
class PagedTable {
  static_assert(std::is_trivially_copyable_v<Slot> && (kPageSize - 16) % sizeof(Slot) == 0);
  struct Head {
    std::uint64_t checksum = 0;
    std::uint32_t number = 0;
    std::uint16_t count = 0;
    std::uint16_t overflowed = 0;  // slots that belong here are in the pages that follow
  };

 public:
  static constexpr std::size_t kSlots = (kPageSize - sizeof(Head)) / sizeof(Slot);

  /// An empty table in memory with room for `slots` and as many again.
  static PagedTable make(std::size_t slots) {
    PagedTable out;
    out.pages_.resize(std::bit_ceil(slots * 2 / kSlots + 1));
    for (std::size_t i = 0; i < out.pages_.size(); ++i) {
      out.pages_[i] = std::make_unique<Page>();
      out.pages_[i]->head.number = static_cast<std::uint32_t>(i);
    }
    return out;
  }
  /// The table at `offset` of an open file, which must outlive it. `pages` is a power of two.
  static PagedTable of_file(int fd, std::size_t offset, std::size_t pages, std::uint64_t count) {
    PagedTable out;
    out.fd_ = fd;
    out.offset_ = offset;
    out.count_ = count;
    out.pages_.resize(pages);
    return out;
  }

  [[nodiscard]] bool damaged() const noexcept { return damaged_; }
  [[nodiscard]] std::size_t pages() const noexcept { return pages_.size(); }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Whether a file that says so of itself can be right.
  [[nodiscard]] static bool can_hold(std::size_t pages, std::uint64_t count) noexcept {
    return std::has_single_bit(pages) && count <= pages * kSlots;
  }
  /// Time to make a bigger one.
  [[nodiscard]] bool crowded() const noexcept { return count_ > pages_.size() * kSlots * 6 / 10; }

  /// Calls visit(slot&) for the slots of this hash until it returns true; then the slot, else
  /// nullptr.
  template <typename Visit>
  Slot* find(std::uint64_t hash, Visit visit) {
    return walk(hash, [&](Page& page) -> Slot* {
      for (std::size_t i = 0; i < page.head.count; ++i) {
        if (page.slots[i].hash() == hash && visit(page.slots[i])) return &page.slots[i];
      }
      return nullptr;
    });
  }

  void insert(const Slot& slot) {
    Page* written = nullptr;
    walk(slot.hash(), [&](Page& page) -> Slot* {
      if (page.head.count == kSlots) {
        page.head.overflowed = 1;
        page.changed = true;
        return nullptr;
      }
      page.slots[page.head.count++] = slot;
      page.changed = true;
      written = &page;
      return &page.slots[0];
    });
    if (written != nullptr) {
      ++count_;
    } else {
      damaged_ = true;  // no room anywhere: whoever grows the table never lets it come to this
    }
  }

  /// Forgets a slot that find returned.
  void erase(Slot* slot) {
    Page& page = page_of(slot);
    *slot = page.slots[--page.head.count];
    page.changed = true;
    damaged_ = damaged_ || count_ == 0;
    --count_;
  }
  /// Says that a slot that find returned was changed in place.
  void touch(Slot* slot) { page_of(slot).changed = true; }

  template <typename Visit>
  void each(Visit visit) {
    Page passing;  // what is only looked at once need not stay in memory
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      if (!pages_[i] && !load(i, passing)) return;
      const Page& page = pages_[i] ? *pages_[i] : passing;
      for (std::size_t k = 0; k < page.head.count; ++k) visit(page.slots[k]);
    }
  }

  /// Writes the changed pages into the file the table came from. False when that fails.
  bool write_changes() {
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      if (!pages_[i] || !pages_[i]->changed) continue;
      seal(*pages_[i]);
      const auto at = static_cast<off_t>(offset_ + i * kPageSize);
      if (::pwrite(fd_, pages_[i].get(), kPageSize, at) != ssize_t{kPageSize}) return false;
    }
    return true;
  }
  /// Appends all pages. Only for a table that is whole in memory.
  void append_to(std::string& out) {
    for (const auto& page : pages_) {
      seal(*page);
      out.append(reinterpret_cast<const char*>(page.get()), kPageSize);
    }
  }

 private:
  struct Page {
    Head head;
    std::array<Slot, kSlots> slots{};
    bool changed = false;  // not part of the file
  };
  static_assert(offsetof(Page, changed) == kPageSize);

  static std::uint64_t sum_of(const Page& page) {
    return checksum(reinterpret_cast<const char*>(&page) + sizeof page.head.checksum,
                    kPageSize - sizeof page.head.checksum, Slot::kTable);
  }
  static void seal(Page& page) { page.head.checksum = sum_of(page); }

  Page* get(std::size_t number) {
    if (damaged_) return nullptr;
    if (pages_[number]) return pages_[number].get();
    auto page = std::make_unique<Page>();
    if (!load(number, *page)) return nullptr;
    pages_[number] = std::move(page);
    return pages_[number].get();
  }

  bool load(std::size_t number, Page& page) {
    const auto at = static_cast<off_t>(offset_ + number * kPageSize);
    const bool whole = ::pread(fd_, &page, kPageSize, at) == ssize_t{kPageSize};
    damaged_ = damaged_ || !whole || page.head.number != number || page.head.count > kSlots ||
               page.head.checksum != sum_of(page);
    return !damaged_;
  }

  /// Visits the pages where slots of this hash can be.
  template <typename Visit>
  Slot* walk(std::uint64_t hash, Visit visit) {
    const std::size_t mask = pages_.size() - 1;
    std::size_t number = mix(hash) & mask;
    for (std::size_t i = 0; i < pages_.size(); ++i, number = (number + 1) & mask) {
      Page* page = get(number);
      if (page == nullptr) return nullptr;
      if (Slot* slot = visit(*page)) return slot;
      if (page->head.overflowed == 0) return nullptr;
    }
    return nullptr;
  }

  Page& page_of(const Slot* slot) {
    const std::size_t mask = pages_.size() - 1;
    for (std::size_t number = mix(slot->hash()) & mask;; number = (number + 1) & mask) {
      Page& page = *pages_[number];  // in memory: find has come this way
      if (slot >= page.slots.data() && slot < page.slots.data() + kSlots) return page;
    }
  }

  std::vector<std::unique_ptr<Page>> pages_;
  int fd_ = -1;
  std::size_t offset_ = 0;
  std::uint64_t count_ = 0;
  bool damaged_ = false;
};

}  // namespace cni::host_local
