// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ranges.h"

#include <algorithm>
#include <tuple>

#include "base/concat.h"
#include "base/error.h"

namespace cni::host_local {
namespace {

constexpr std::size_t kMaxRangesShown = 8;

[[noreturn]] void refuse(std::string msg) {
  throw Error(ErrorCode::kInvalidConfig, std::move(msg));
}

/// A range and the place it comes from, for finding overlaps by sorting.
struct Place {
  const Range* range;
  std::size_t owner;
};

/// Two places that share an address and do not have the same owner, or nullptrs. O(n log n).
std::pair<const Place*, const Place*> find_overlap(std::vector<Place>& places) {
  std::ranges::sort(places, [](const Place& a, const Place& b) {
    return std::tie(a.range->start, a.owner) < std::tie(b.range->start, b.owner);
  });
  const Place* widest = nullptr;  // of those before: the one that reaches furthest
  for (const Place& place : places) {
    // Families sort apart, so an end of one never reaches a start of the other.
    if (widest != nullptr && widest->range->end >= place.range->start &&
        widest->owner != place.owner) {
      return {widest, &place};
    }
    if (widest == nullptr || widest->range->end < place.range->end) widest = &place;
  }
  return {nullptr, nullptr};
}

}  // namespace

Span hosts_of(const IpNet& subnet) {
  const IpAddress all_ones = subnet.address.last(subnet.prefix);
  // RFC 3021, RFC 6164: a link of two has neither a network nor a broadcast address.
  if (subnet.prefix + 2 > subnet.address.bits()) return {subnet.address, all_ones};
  // The last IPv4 address is the broadcast address; IPv6 has none.
  return {subnet.address.next(), subnet.address.is_v4() ? all_ones.previous() : all_ones};
}

bool Range::contains(const IpAddress& address) const noexcept {
  return start <= address && address <= end;
}

std::string Range::text() const { return concat(start.text(), "-", end.text()); }

Range Range::canonical(const RangeSpec& spec) {
  const IpNet& subnet = spec.subnet;
  if (const auto problem = subnet_problem(subnet)) refuse(*problem);
  if (subnet.prefix == subnet.address.bits()) {
    refuse(concat("Network ", subnet.text(), " too small to allocate from"));
  }
  if (subnet.network() != subnet) {
    refuse(concat("Network has host bits set. For a subnet mask of length ", subnet.prefix,
                  " the network address is ", subnet.network().address.text()));
  }
  const auto [first, last] = hosts_of(subnet);

  Range out{subnet, spec.start.value_or(first), spec.end.value_or(last),
            spec.gateway.value_or(first)};
  const bool start_before_given_end = !spec.end || out.start <= *spec.end;
  if (!subnet.contains(out.start) || (spec.start && !start_before_given_end)) {
    refuse(concat("RangeStart ", out.start.text(), " not in network ", subnet.text(),
                  subnet.contains(out.start) ? concat(" before RangeEnd ", out.end.text()) : ""));
  }
  if (!subnet.contains(out.end) || out.end < out.start) {
    refuse(concat("RangeEnd ", out.end.text(), " not in network ", subnet.text(),
                  subnet.contains(out.end) ? concat(" behind RangeStart ", out.start.text()) : ""));
  }
  if (const auto problem = gateway_problem(subnet, out.gateway)) refuse(*problem);
  return out;
}

RangeSet::RangeSet(std::vector<Range> ranges) : ranges_(std::move(ranges)) {
  if (ranges_.empty()) refuse("empty range set");
  std::vector<Place> places;
  for (const Range& range : ranges_) {
    if (range.start.family() != family()) refuse("mixed address families");
    gateways_.push_back(range.gateway);
    places.push_back({&range, places.size()});
  }
  if (const auto [a, b] = find_overlap(places); a != nullptr) {
    const auto& [first, second] =
        std::minmax(*a, *b, [](const Place& x, const Place& y) { return x.owner < y.owner; });
    refuse(concat("subnets ", first.range->text(), " and ", second.range->text(), " overlap"));
  }
  std::ranges::sort(gateways_);
}

const Range* RangeSet::find(const IpAddress& address) const noexcept {
  const auto found =
      std::ranges::find_if(ranges_, [&](const Range& range) { return range.contains(address); });
  return found == ranges_.end() ? nullptr : &*found;
}

const Range* RangeSet::find_subnet(const IpAddress& address) const noexcept {
  const auto found = std::ranges::find_if(ranges_, [&](const Range& range) {
    const auto [first, last] = hosts_of(range.subnet);
    return first <= address && address <= last;
  });
  return found == ranges_.end() ? nullptr : &*found;
}

bool RangeSet::is_gateway(const IpAddress& address) const noexcept {
  return std::ranges::binary_search(gateways_, address);
}

std::vector<Span> RangeSet::search_order(const std::optional<IpAddress>& last) const {
  std::vector<Span> out;
  const Range* from = last ? find(*last) : nullptr;
  const std::size_t begin = from == nullptr ? 0 : static_cast<std::size_t>(from - ranges_.data());
  if (from != nullptr && *last != from->end) out.push_back({last->next(), from->end});
  for (std::size_t i = from == nullptr ? 0 : 1; i < ranges_.size(); ++i) {
    const Range& range = ranges_[(begin + i) % ranges_.size()];
    out.push_back({range.start, range.end});
  }
  if (from != nullptr) out.push_back({from->start, *last});
  return out;
}

std::string RangeSet::text() const {
  std::string out;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (i == kMaxRangesShown) return concat(out, ",... (", ranges_.size(), " ranges)");
    out += concat(i == 0 ? "" : ",", ranges_[i].text());
  }
  return out;
}

void check_disjoint(const std::vector<RangeSet>& sets) {
  std::vector<Place> places;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (const Range& range : sets[i].ranges()) places.push_back({&range, i});
  }
  if (const auto [a, b] = find_overlap(places); a != nullptr) {
    refuse(concat("range set ", std::min(a->owner, b->owner), " overlaps with ",
                  std::max(a->owner, b->owner)));
  }
}

}  // namespace cni::host_local
