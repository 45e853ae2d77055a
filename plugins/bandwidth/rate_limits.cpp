// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "rate_limits.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"

namespace cni::bandwidth {
namespace {

constexpr std::uint64_t kMaxU32 = std::numeric_limits<std::uint32_t>::max();
// What containerd and dockershim send when nobody asked for a burst.
constexpr std::array<std::uint64_t, 2> kNoLimit = {4294967295, 2147483647};
constexpr std::uint64_t kMillisecond = 1000;  // parts of a second

// Bytes.
constexpr std::uint64_t kFrameHeader = 18;  // Ethernet with a VLAN tag
constexpr std::uint64_t kMinWaitingFrames = 8;
constexpr std::uint64_t kMinBurstFrames = 10;

// Milliseconds.
constexpr std::uint64_t kWaiting = 10, kChunk = 1, kBurst = 25;

// Microseconds.
constexpr std::uint64_t kTarget = 5'000, kInterval = 100'000;
constexpr std::uint64_t kMinPackets = 64, kMaxPackets = 10240;
constexpr std::uint32_t kFlows = 256;

std::uint64_t in_time(std::uint64_t rate, std::uint64_t milliseconds) noexcept {
  return rate / kMillisecond * milliseconds + rate % kMillisecond * milliseconds / kMillisecond;
}

std::uint64_t frame_of(unsigned mtu) noexcept { return mtu + kFrameHeader; }

std::uint32_t cut(std::uint64_t value) noexcept {
  return static_cast<std::uint32_t>(std::min(value, kMaxU32));
}

std::uint64_t bits(const JsonRef& json) {
  const auto value = json.integer(0, std::numeric_limits<std::int64_t>::max());
  return static_cast<std::uint64_t>(value.value_or(0));
}

std::optional<Limit> parse_direction(const JsonRef& object, const std::string& direction) {
  const JsonRef rate = object[concat(direction, "Rate")];
  const JsonRef burst = object[concat(direction, "Burst")];
  const std::uint64_t rate_bits = bits(rate), burst_bits = bits(burst);
  if (rate_bits == 0 && burst_bits == 0) return std::nullopt;
  if (burst_bits == 0) burst.fail("if rate is set, burst must also be set");
  if (rate_bits == 0) rate.fail("if burst is set, rate must also be set");
  if (rate_bits < 8) rate.fail(concat("must be at least 8 bit/s, got ", rate_bits));
  Limit out;
  out.rate = rate_bits / 8;
  if (std::ranges::find(kNoLimit, burst_bits) != kNoLimit.end()) return out;
  if (burst_bits / 8 >= kMaxU32) {
    burst.fail(concat("burst cannot be more than 4GB, got ", burst_bits, " bits"));
  }
  out.burst = static_cast<std::uint32_t>(burst_bits / 8);
  return out;
}

Limits parse_object(const JsonRef& object) {
  return {parse_direction(object, "ingress"), parse_direction(object, "egress")};
}

}  // namespace

Limits Limits::parse(const Request& request) {
  const Limits fixed = parse_object(request.conf.root());
  const Limits per_call = parse_object(request.conf.runtime_config()["bandwidth"]);
  return fixed.empty() ? per_call : fixed;
}

netlink::TokenBucket bucket_of(const Limit& limit, unsigned mtu) noexcept {
  const std::uint64_t frame = frame_of(mtu);
  netlink::TokenBucket out;
  out.rate = limit.rate;
  const std::uint64_t wanted =
      limit.burst ? *limit.burst : std::max(in_time(limit.rate, kBurst), kMinBurstFrames * frame);
  // A frame that is larger than the bucket would never pass.
  out.burst = cut(std::max(wanted, frame));
  out.limit = cut(std::max(in_time(limit.rate, kWaiting), kMinWaitingFrames * frame));
  out.chunk = std::min(out.burst, cut(std::max(in_time(limit.rate, kChunk), frame)));
  return out;
}

netlink::FairQueue queue_of(const Limit& limit, unsigned mtu) noexcept {
  const std::uint64_t frame = frame_of(mtu);
  const std::uint64_t frame_time = frame * 1'000'000 / limit.rate;
  netlink::FairQueue out;
  out.target = cut(std::max(kTarget, frame_time * 3 / 2));
  out.interval = cut(std::max<std::uint64_t>(kInterval, std::uint64_t{out.target} * 2));
  // What senders that do not slow down may fill: a tenth of a second.
  out.limit = cut(std::clamp(limit.rate / 10 / frame, kMinPackets, kMaxPackets));
  out.flows = kFlows;
  return out;
}

netlink::TokenBucketState state_of_reference(const Limit& limit,
                                             std::uint32_t told_ticks) noexcept {
  constexpr std::uint64_t kLatencyParts = 40;  // 25 ms
  netlink::TokenBucketState out;
  out.rate = limit.rate;
  // Its arithmetic wraps at 32 bits.
  const std::uint64_t burst = limit.burst.value_or(0);
  out.limit = static_cast<std::uint32_t>(limit.rate / kLatencyParts + burst);
  const auto microseconds = static_cast<std::uint32_t>(burst * 1'000'000 / limit.rate);
  out.burst_ticks = static_cast<std::uint32_t>(std::uint64_t{microseconds} * 125 / 8);
  // It computes with floating point numbers: the last digit may be another.
  const std::uint32_t difference = out.burst_ticks - told_ticks;
  if (difference + 1 <= 2) out.burst_ticks = told_ticks;
  return out;
}

}  // namespace cni::bandwidth
