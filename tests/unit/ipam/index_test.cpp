// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "index.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "base/concat.h"
#include "support/catch.h"

using cni::IpAddress;
using cni::host_local::Index;

namespace {

struct stat state_number(int n) {
  struct stat info {};
  info.st_dev = 1;
  info.st_ino = 2;
  info.st_mtim = {1'700'000'000, n};
  return info;
}

Index::State state(int n) { return Index::State::of(state_number(n), "0123456789abcdef"); }

/// Makes all check sums right, those of what was damaged too.
void seal(std::string& bytes) {
  constexpr std::size_t kPage = cni::host_local::kPageSize;
  constexpr std::size_t kVersion = 3, kOwnerPages = 12, kHeaderSum = 96;
  const auto put = [&](std::size_t at, std::uint64_t sum) {
    std::memcpy(bytes.data() + at, &sum, sizeof sum);
  };
  using cni::host_local::checksum;
  if (bytes.size() < kPage) return;
  put(kHeaderSum, checksum(bytes.data(), kHeaderSum, kVersion));
  std::uint32_t owner_pages = 0;
  std::memcpy(&owner_pages, bytes.data() + kOwnerPages, sizeof owner_pages);
  for (std::size_t at = kPage; at + kPage <= bytes.size(); at += kPage) {
    put(at, checksum(bytes.data() + at + 8, kPage - 8, at / kPage <= owner_pages ? 1 : 2));
  }
}

class IndexFile {
 public:
  IndexFile() {
    std::string pattern = "/tmp/cnipp-index-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir_ = pattern;
  }
  ~IndexFile() { std::filesystem::remove_all(dir_); }
  [[nodiscard]] std::string path() const { return (dir_ / "net.index").string(); }
  [[nodiscard]] std::string read() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& content) const {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << content;
  }

 private:
  std::filesystem::path dir_;
};

/// What the index must agree with.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  IpAddress any_address() {
    switch (pick(4)) {
      case 0:
        return IpAddress::parse("10.0.0.0").plus(pick(700));
      case 1:
        return IpAddress::parse("fd00::").plus(pick(700));
      case 2:
        return IpAddress::parse("fd00::ffff:ffff:ffff:ff80").plus(pick(256));
      default:
        return IpAddress::parse("255.255.254.0").plus(pick(512));
    }
  }
  int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  /// Some of the ways in which a file can be wrong: bits, words, its end, pages.
  void damage(std::string& bytes) {
    constexpr std::size_t kPage = cni::host_local::kPageSize;
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(pick(int(n))); };
    const auto page = [&] { return below(bytes.size() / kPage) * kPage; };
    for (int i = pick(4); i >= 0; --i) {
      switch (pick(6)) {
        case 0:
          bytes[below(bytes.size())] ^= char(1 << pick(8));
          break;
        case 1: {  // the header, or the head of a page
          const std::uint64_t word = std::uint64_t{random_()} << pick(64);
          std::memcpy(bytes.data() + page() + 8 * below(13), &word, 1 + below(8));
          break;
        }
        case 2: {
          const std::uint64_t word = pick(2) == 0 ? ~std::uint64_t{0} : random_();
          std::memcpy(bytes.data() + 8 * below(bytes.size() / 8), &word, sizeof word);
          break;
        }
        case 3:
          if (pick(8) == 0 && bytes.size() > 2 * kPage) bytes.resize(kPage + below(kPage * 2));
          break;
        case 4:
          std::memset(bytes.data() + page(), pick(2) == 0 ? 0 : 0xff, kPage);
          break;
        default:
          std::memmove(bytes.data() + page(), bytes.data() + page(), kPage);
      }
      if (bytes.size() < kPage) return;
    }
  }

  void step(Index& index) {
    const IpAddress address = any_address();
    if (const auto found = taken.find(address); found != taken.end()) {
      index.erase(address, found->second);
      taken.erase(found);
    } else {
      const auto owner = static_cast<Index::OwnerHash>(pick(300));
      index.insert({address}, owner);
      taken[address] = owner;
    }
  }

  /// `lenient`: an answer does not count when the index says that it has met damage.
  void compare(Index& index, bool lenient = false) {
    const auto owner = static_cast<Index::OwnerHash>(1 + pick(299));
    std::vector<IpAddress> expected;
    for (const auto& [address, by] : taken) {
      if (by == owner) expected.push_back(address);
    }
    const auto found = index.find(owner);
    if (lenient && index.damaged()) return;
    REQUIRE(found == expected);
    const IpAddress lo = any_address();
    const IpAddress hi = lo.plus(pick(600));
    if (hi < lo) return;
    IpAddress free = lo;
    while (taken.contains(free) && free != hi) free = free.next();
    const auto answer = index.next_free(lo, hi);
    if (lenient && index.damaged()) return;
    if (taken.contains(free)) {
      REQUIRE_FALSE(answer);
    } else {
      REQUIRE(answer == free);
    }
  }

  void compare_all(Index& index) const {
    std::vector<IpAddress> all;
    index.each([&](const cni::host_local::Brief& lease) { all.push_back(lease.address); });
    std::ranges::sort(all);
    std::vector<IpAddress> expected;
    for (const auto& [address, by] : taken) expected.push_back(address);
    REQUIRE(all == expected);
  }

  std::map<IpAddress, Index::OwnerHash> taken;

 private:
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("host-local index: agrees with a naive model, across growth and files", "[host-local]") {
  const unsigned seed = GENERATE(1U, 2U, 3U);
  const IndexFile file;
  Model model(seed);
  Index index = Index::make(0);
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 60; ++i) {
      model.step(index);
      model.compare(index);
    }
    REQUIRE_FALSE(index.damaged());
    REQUIRE(index.save(file.path(), state(round)));
    auto reopened = Index::open(file.path(), state(round));
    REQUIRE(reopened);
    index = std::move(*reopened);
    model.compare(index);
    model.compare_all(index);
  }
}

TEST_CASE("host-local index: the file is a picture of one state only", "[host-local]") {
  const IndexFile file;
  REQUIRE_FALSE(Index::open(file.path(), state(1)));
  REQUIRE(Index::make(10).save(file.path(), state(1)));
  REQUIRE(Index::open(file.path(), state(1)));
  REQUIRE_FALSE(Index::open(file.path(), state(2)));
  REQUIRE_FALSE(Index::open(file.path(), Index::State::of(state_number(1), "fedcba9876543210")));
}

TEST_CASE("host-local index: damage is noticed wherever it is", "[host-local]") {
  const IndexFile file;
  Model model(7);
  Index index = Index::make(0);
  for (int i = 0; i < 900; ++i) model.step(index);
  REQUIRE(index.save(file.path(), state(1)));
  const std::string whole = file.read();
  REQUIRE(whole.size() % 4096 == 0);

  for (int i = 0; i < 400; ++i) {
    std::string bad = whole;
    switch (i % 4) {
      case 0:
        bad[static_cast<std::size_t>(model.pick(int(bad.size())))] ^= char(1 << model.pick(8));
        break;
      case 1:
        bad.resize(static_cast<std::size_t>(model.pick(int(bad.size()))));
        break;
      case 2: {
        const auto at = static_cast<std::size_t>(model.pick(int(bad.size() / 4096))) * 4096;
        std::ranges::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(at), 4096, '\0');
        break;
      }
      default: {  // a page in the place of another
        const auto from = static_cast<std::size_t>(model.pick(int(bad.size() / 4096))) * 4096;
        const auto to = static_cast<std::size_t>(model.pick(int(bad.size() / 4096))) * 4096;
        bad.replace(to, 4096, whole, from, 4096);
      }
    }
    file.write(bad);
    auto opened = Index::open(file.path(), state(1));
    if (!opened) continue;
    // Right answers until a bad page is met; then it says so.
    for (int k = 0; k < 20; ++k) {
      const auto owner = static_cast<Index::OwnerHash>(1 + model.pick(299));
      const auto found = opened->find(owner);
      if (opened->damaged()) break;
      const auto count = std::ranges::count_if(
          model.taken, [&](const auto& entry) { return entry.second == owner; });
      REQUIRE(found.size() == static_cast<std::size_t>(count));
    }
  }
}

TEST_CASE("host-local index: no damage is fatal, whatever is done then, check sums right or not",
          "[host-local]") {
  const bool sealed = GENERATE(false, true);
  const IndexFile file;
  Model model(sealed ? 11 : 12);
  Index index = Index::make(0);
  for (int i = 0; i < 900; ++i) model.step(index);
  REQUIRE(index.save(file.path(), state(1)));
  const std::string whole = file.read();
  const auto taken = model.taken;
  const int rounds = std::getenv("CNI_TEST_LONG") != nullptr ? 200'000 : 2'000;
  for (int round = 0; round < rounds; ++round) {
    std::string bad = whole;
    model.damage(bad);
    if (sealed) seal(bad);
    file.write(bad);
    auto opened = Index::open(file.path(), state(1));
    if (!opened) continue;
    model.taken = taken;
    for (int i = 0; i < 30; ++i) {
      CAPTURE(round, i);
      switch (model.pick(5)) {
        case 0:
          opened->each([](const cni::host_local::Brief&) {});
          break;
        case 1:
          static_cast<void>(opened->find(static_cast<Index::OwnerHash>(model.pick(300))));
          break;
        case 2: {
          const IpAddress lo = model.any_address();
          static_cast<void>(opened->next_free(lo, std::max(lo, lo.plus(300))));
          break;
        }
        default:
          model.step(*opened);
      }
      const bool damaged = opened->damaged();
      const bool saved = model.pick(10) == 0 && opened->save(file.path(), state(1));
      REQUIRE_FALSE((damaged && saved));
      // What was answered before damage is met is right, and what is met is noticed.
      if (!sealed && !opened->damaged()) model.compare(*opened, true);
    }
  }
}

TEST_CASE("host-local index: a file it cannot write is no use", "[host-local]") {
  Index index = Index::make(0);
  REQUIRE_FALSE(index.save("/nonexistent/net.index", state(1)));
}
