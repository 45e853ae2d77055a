// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Random mixes of our verbs, the reference's verbs, changes by hand and damage to the index,
// compared with a naive model after every step.
#include <algorithm>
#include <optional>
#include <random>

#include "base/concat.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::Network;
using cni::test::our_plugin;
using cni::test::Outcome;
using cni::test::read_text;
using cni::test::reference_plugin;

namespace fs = std::filesystem;

namespace {

constexpr int kHosts = 14;  // 10.1.0.2 to 10.1.0.14 of a /28, and as many of a /64

/// One range set: what a user of host-local may rely on.
struct Pool {
  std::string prefix;  // "10.1.0." or "fd00::"
  std::map<int, std::string> taken;
  int last = 1;

  [[nodiscard]] std::string name(int host) const {
    return concat(prefix, prefix == "fd00::" && host > 9 ? std::string(1, char('a' + host - 10))
                                                         : concat(host));
  }
  [[nodiscard]] std::optional<int> next() const {
    for (int i = 1; i <= kHosts; ++i) {
      const int host = (last - 1 + i) % kHosts + 1;
      if (host != 1 && !taken.contains(host)) return host;  // 1 is the gateway
    }
    return std::nullopt;
  }
  [[nodiscard]] bool has(const std::string& owner) const {
    return std::ranges::any_of(taken, [&](const auto& e) { return e.second == owner; });
  }
};

class Mix {
 public:
  Mix(unsigned seed, bool with_reference) : random_(seed), with_reference_(with_reference) {}

  void step() {
    const std::string id = concat("c", pick(20));
    const std::string owner = concat(id, "\r\neth0");
    const bool theirs = with_reference_ && pick(3) == 0;
    const std::string binary = theirs ? reference_plugin("host-local") : our_plugin("host-local");
    const int what = pick(20);
    CAPTURE(what, id, theirs);
    if (what < 8) {
      add(binary, id, owner);
    } else if (what < 13) {
      REQUIRE(net_.call(binary, "DEL", id).ok());
      for (Pool& pool : pools_)
        std::erase_if(pool.taken, [&](auto& e) { return e.second == owner; });
    } else if (what < 15) {
      REQUIRE(net_.call(binary, "CHECK", id).ok() ==
              (pools_[0].has(owner) || pools_[1].has(owner)));
    } else if (what < 16) {
      gc();
    } else if (what < 18) {
      by_hand(owner);
    } else {
      damage_index();
    }
    compare();
  }

 private:
  int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  void add(const std::string& binary, const std::string& id, const std::string& owner) {
    const auto first = pools_[0].next();
    const auto second = pools_[1].next();
    const bool possible = first && second && !pools_[0].has(owner) && !pools_[1].has(owner);
    if (!possible && binary != our_plugin("host-local")) return;  // it frees the earlier addresses
    const Outcome outcome = net_.call(binary, "ADD", id);
    REQUIRE(outcome.ok() == possible);
    if (!pools_[0].has(owner) && first) {
      pools_[0].last = *first;  // also when the second set refuses
    }
    if (!possible) return;
    REQUIRE(outcome.addresses() ==
            std::vector<std::string>{concat(pools_[0].name(*first), "/28"),
                                     concat(pools_[1].name(*second), "/124")});
    pools_[0].taken[*first] = pools_[1].taken[*second] = owner;
    pools_[1].last = *second;
  }

  void gc() {
    std::vector<std::string> valid;
    for (int i = 0; i < 20; ++i) {
      if (pick(4) != 0) valid.push_back(concat("c", i, "/eth0"));
    }
    REQUIRE(net_.gc(valid).ok());
    for (Pool& pool : pools_) {
      std::erase_if(pool.taken, [&](const auto& e) {
        return std::ranges::find(valid, concat(e.second.substr(0, e.second.find('\r')), "/eth0")) ==
               valid.end();
      });
    }
  }

  void by_hand(const std::string& owner) {
    Pool& pool = pools_[static_cast<std::size_t>(pick(2))];
    if (pick(2) == 0 && !pool.taken.empty()) {
      const auto victim = std::next(pool.taken.begin(), pick(int(pool.taken.size())));
      fs::remove(net_.dir() / pool.name(victim->first));
      pool.taken.erase(victim);
    } else if (const int host = 2 + pick(kHosts - 1); !pool.taken.contains(host)) {
      net_.put(pool.name(host), owner);
      pool.taken[host] = owner;
    }
  }

  void damage_index() {
    const fs::path path = net_.data_dir() / ".cnipp/net1.index";
    if (!fs::exists(path)) return;
    std::string content = read_text(path);
    switch (pick(5)) {
      case 0:
        fs::remove(path);
        return;
      case 1:
        kept_ = content;
        return;  // to be restored when it is of yesterday
      case 2:
        content = kept_;
        break;
      case 3:
        content.resize(static_cast<std::size_t>(pick(int(content.size() + 1))));
        break;
      default:
        content[static_cast<std::size_t>(pick(int(content.size())))] ^= 0x55;
    }
    cni::test::write_text(path, content);
  }

  void compare() {
    std::map<std::string, std::string> expected;
    for (const Pool& pool : pools_) {
      for (const auto& [host, owner] : pool.taken) expected[pool.name(host)] = owner;
    }
    REQUIRE(net_.leases() == expected);
  }

  std::mt19937 random_;
  bool with_reference_;
  Network net_{
      R"("ranges":[[{"subnet":"10.1.0.0/28"}],[{"subnet":"fd00::/124","rangeEnd":"fd00::e"}]])", "",
      "1.1.0"};
  std::vector<Pool> pools_{{.prefix = "10.1.0."}, {.prefix = "fd00::"}};
  std::string kept_;
};

}  // namespace

TEST_CASE("host-local model: our verbs, changes by hand, damage to the index", "[host-local]") {
  const unsigned seed = GENERATE(1U, 2U);
  CAPTURE(seed);
  Mix mix(seed, false);
  for (int i = 0; i < 600; ++i) mix.step();
}

TEST_CASE("host-local model: with the reference in between", "[host-local][oracle]") {
  cni::test::require_file(reference_plugin("host-local"));
  const unsigned seed = GENERATE(11U, 12U);
  CAPTURE(seed);
  Mix mix(seed, true);
  for (int i = 0; i < 400; ++i) mix.step();
}
