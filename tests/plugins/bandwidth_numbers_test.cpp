// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What is asked of the kernel for a limit.
#include "rate_limits.h"
#include "support/catch.h"

using cni::bandwidth::bucket_of;
using cni::bandwidth::Limit;
using cni::bandwidth::queue_of;
using cni::netlink::state_of;
using cni::netlink::TokenBucket;

TEST_CASE("bandwidth numbers: a short queue, whatever the burst", "[bandwidth]") {
  for (const std::uint32_t burst : {20000U, 100000U, 4000000000U}) {
    const TokenBucket bucket = bucket_of({1250000, burst}, 1500);
    CHECK(bucket.burst == burst);
    CHECK(bucket.limit == 12500);  // 10 ms
    CHECK(bucket.chunk == 1518);   // a frame: 1 ms would be less
  }
  CHECK(bucket_of({125000000, 100000}, 1500).chunk == 100000);  // never more than the burst
  CHECK(bucket_of({125000000, 10000000}, 1500).chunk == 125000);
  CHECK(bucket_of({125000, 10000}, 1500).limit == 8 * 1518);  // TCP needs a few frames
}

TEST_CASE("bandwidth numbers: what does not fit is cut, never wrapped", "[bandwidth]") {
  const std::uint64_t huge = UINT64_MAX / 8;
  const TokenBucket bucket = bucket_of({huge, std::nullopt}, 65535);
  CHECK(bucket.burst == UINT32_MAX);
  CHECK(bucket.limit == UINT32_MAX);
  CHECK(state_of(bucket).peak > huge);
  CHECK(queue_of({huge, std::nullopt}, 1500).limit == 10240);
  CHECK(queue_of({1, std::nullopt}, 65535).target == UINT32_MAX);
}

TEST_CASE("bandwidth numbers: a frame always fits", "[bandwidth]") {
  CHECK(bucket_of({1, 0}, 1500).burst == 1518);
  CHECK(bucket_of({1, 57}, 9000).burst == 9018);
  CHECK(bucket_of({1, 57}, 9000).chunk == 9018);
}

TEST_CASE("bandwidth numbers: fq_codel waits for slow links", "[bandwidth]") {
  CHECK(queue_of({12500000, std::nullopt}, 1500).target == 5000);
  CHECK(queue_of({12500000, std::nullopt}, 1500).interval == 100000);
  const auto slow = queue_of({12500, std::nullopt}, 1500);  // 100 kbit/s: 121 ms a frame
  CHECK(slow.target == 182160);
  CHECK(slow.interval == 364320);
  CHECK(slow.limit == 64);
}

TEST_CASE("bandwidth numbers: the kernel's time for a burst", "[bandwidth]") {
  // As tc shows them: 100,000 bytes at 10 Mbit/s are 80 ms, in ticks of 64 ns.
  const auto state = state_of(TokenBucket{1250000, 100000, 12500, 0});
  CHECK(state.burst_ticks == 1250000);
  CHECK(state.peak == 0);
  CHECK(state.chunk_ticks == 0);
}
