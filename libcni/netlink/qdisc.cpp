// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/qdisc.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/concat.h"
#include "base/error.h"

namespace cni::netlink {
namespace {

constexpr std::uint32_t kIngressFilters = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t kClass = 1;                 // the only one of a token bucket
constexpr std::uint64_t kPeak = 1'000'000'000'000;  // bytes a second: never what limits
constexpr unsigned kTickShift = 6;
constexpr unsigned kCodelShift = 10;

/// The time that so many bytes take, with the kernel's own rounding (psched_l2t_ns).
std::uint64_t nanoseconds(std::uint64_t bytes, std::uint64_t rate) noexcept {
  std::uint64_t factor = 1'000'000'000;
  unsigned shift = 0;
  for (;;) {
    const std::uint64_t multiplier = factor / rate;
    if ((multiplier >> 31) != 0 || (factor >> 63) != 0) return bytes * multiplier >> shift;
    factor <<= 1;
    ++shift;
  }
}

std::uint32_t ticks(std::uint64_t bytes, std::uint64_t rate) noexcept {
  return static_cast<std::uint32_t>(nanoseconds(bytes, rate) >> kTickShift);
}

std::uint64_t peak_of(const TokenBucket& bucket) noexcept {
  return bucket.chunk == 0 ? 0 : std::max(kPeak, 2 * bucket.rate);
}

tcmsg header(int ifindex, std::uint32_t parent, std::uint32_t handle = 0) {
  tcmsg out{};
  out.tcm_family = AF_UNSPEC;
  out.tcm_ifindex = ifindex;
  out.tcm_parent = parent;
  out.tcm_handle = handle;
  return out;
}

std::uint32_t low(std::uint64_t value) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

/// The structure at the start of the attribute's content; zeros where that is shorter.
template <typename T>
T read_struct(std::span<const std::uint8_t> bytes) noexcept {
  T out{};
  if (!bytes.empty()) std::memcpy(&out, bytes.data(), std::min(bytes.size(), sizeof out));
  return out;
}

std::uint64_t read_u64(const Attributes& attributes, int attribute, std::uint64_t absent) noexcept {
  const auto bytes = attributes.bytes(attribute);
  return bytes.size() < sizeof absent ? absent : read_struct<std::uint64_t>(bytes);
}

TokenBucketState parse_token_bucket(const Attributes& options) {
  const auto parameters = read_struct<tc_tbf_qopt>(options.bytes(TCA_TBF_PARMS));
  TokenBucketState out;
  out.rate = read_u64(options, TCA_TBF_RATE64, parameters.rate.rate);
  out.peak = read_u64(options, TCA_TBF_PRATE64, parameters.peakrate.rate);
  out.limit = parameters.limit;
  out.burst_ticks = parameters.buffer;
  out.chunk_ticks = parameters.mtu;
  return out;
}

Qdisc parse_qdisc(const Reply& reply) {
  const Attributes attributes = reply.attributes<tcmsg>();
  Qdisc out;
  out.kind = attributes.text(TCA_KIND);
  out.handle = reply.header<tcmsg>().tcm_handle;
  const Attributes options = attributes.nested(TCA_OPTIONS);
  if (out.kind == "tbf") out.token_bucket = parse_token_bucket(options);
  if (out.kind == "fq_codel") {
    out.fair_queue = FairQueue{options.u32(TCA_FQ_CODEL_TARGET), options.u32(TCA_FQ_CODEL_INTERVAL),
                               options.u32(TCA_FQ_CODEL_LIMIT), options.u32(TCA_FQ_CODEL_FLOWS)};
  }
  return out;
}

std::optional<Qdisc> find_qdisc(Socket& socket, int ifindex, std::uint32_t parent) {
  // Without ECHO the kernel tells everybody but us.
  Message message(RTM_GETQDISC, NLM_F_ACK | NLM_F_ECHO, concat("look up qdisc of link ", ifindex));
  message.header(header(ifindex, parent));
  message.tolerate(ENOENT).tolerate(ENODEV);
  socket.transact(message);
  const auto reply = message.reply();
  if (!reply) return std::nullopt;
  return parse_qdisc(*reply);
}

Filter parse_filter(const Reply& reply) {
  const std::uint32_t info = reply.header<tcmsg>().tcm_info;
  const Attributes attributes = reply.attributes<tcmsg>();
  Filter out;
  out.priority = static_cast<std::uint16_t>(TC_H_MAJ(info) >> 16);
  out.protocol = ntohs(static_cast<std::uint16_t>(TC_H_MIN(info)));
  if (attributes.text(TCA_KIND) != "u32") return out;
  const Attributes options = attributes.nested(TCA_OPTIONS);
  const auto selector = options.bytes(TCA_U32_SEL);
  if (selector.size() >= sizeof(tc_u32_sel) + sizeof(tc_u32_key)) {
    const auto head = read_struct<tc_u32_sel>(selector);
    const auto key = read_struct<tc_u32_key>(selector.subspan(sizeof head));
    out.all = head.nkeys == 1 && key.mask == 0 && (head.flags & TC_U32_TERMINAL) != 0;
  }
  options.nested(TCA_U32_ACT).for_each([&](const nlattr* attribute) {
    const Attributes action(attribute);
    if (out.redirects || action.text(TCA_ACT_KIND) != "mirred") return;
    const auto parameters =
        read_struct<tc_mirred>(action.nested(TCA_ACT_OPTIONS).bytes(TCA_MIRRED_PARMS));
    out.redirects = parameters.eaction == TCA_EGRESS_REDIR;
    out.target = static_cast<int>(parameters.ifindex);
  });
  return out;
}

std::vector<Filter> list_filters(Socket& socket, int ifindex, std::uint32_t parent) {
  Message message(RTM_GETTFILTER, 0, concat("list filters of link ", ifindex));
  message.header(header(ifindex, parent));
  message.tolerate(EINVAL).tolerate(ENODEV);
  std::vector<Filter> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) { out.push_back(parse_filter(reply)); });
  return out;
}

}  // namespace

TokenBucketState state_of(const TokenBucket& bucket) noexcept {
  TokenBucketState out;
  out.rate = bucket.rate;
  out.peak = peak_of(bucket);
  out.limit = bucket.limit;
  out.burst_ticks = ticks(bucket.burst, bucket.rate);
  if (bucket.chunk != 0) out.chunk_ticks = ticks(bucket.chunk, out.peak);
  return out;
}

bool FairQueue::matches(const FairQueue& told) const noexcept {
  const auto same_time = [](std::uint32_t wanted, std::uint32_t now) {
    const std::uint64_t kept = (std::uint64_t{wanted} * 1000) >> kCodelShift;
    return ((kept << kCodelShift) / 1000) == now;
  };
  return same_time(target, told.target) && same_time(interval, told.interval) &&
         limit == told.limit && flows == told.flows;
}

std::optional<Qdisc> find_root_qdisc(Socket& socket, int ifindex) {
  return find_qdisc(socket, ifindex, TC_H_ROOT);
}

std::optional<Qdisc> find_child_qdisc(Socket& socket, int ifindex, std::uint32_t root) {
  return find_qdisc(socket, ifindex, root | kClass);
}

std::optional<Qdisc> find_ingress_qdisc(Socket& socket, int ifindex) {
  return find_qdisc(socket, ifindex, TC_H_INGRESS);
}

std::vector<int> list_links_with_ingress_qdisc(Socket& socket) {
  Message message(RTM_GETQDISC, 0, "list qdiscs");
  message.header(header(0, 0));
  std::vector<int> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        const auto& info = reply.header<tcmsg>();
        if (info.tcm_parent == TC_H_INGRESS) out.push_back(info.tcm_ifindex);
      });
  return out;
}

Message put_token_bucket(int ifindex, const std::string& link, std::uint32_t handle,
                         const TokenBucket& bucket) {
  Message message(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
                  concat("limit the rate of link ", quote(link)));
  message.header(header(ifindex, TC_H_ROOT, handle));
  message.put_text(TCA_KIND, "tbf");
  const TokenBucketState state = state_of(bucket);
  tc_tbf_qopt parameters{};
  // Named, or the kernel asks for a table of rates.
  parameters.rate.linklayer = TC_LINKLAYER_ETHERNET;
  parameters.rate.rate = low(bucket.rate);
  parameters.limit = bucket.limit;
  parameters.buffer = state.burst_ticks;
  parameters.peakrate.linklayer = TC_LINKLAYER_ETHERNET;
  parameters.peakrate.rate = low(state.peak);
  parameters.mtu = state.chunk_ticks;
  message.nest(TCA_OPTIONS, [&](Message& options) {
    options.put_struct(TCA_TBF_PARMS, &parameters, sizeof parameters);
    options.put_u32(TCA_TBF_BURST, bucket.burst);
    if (bucket.rate != low(bucket.rate)) {
      options.put_struct(TCA_TBF_RATE64, &bucket.rate, sizeof bucket.rate);
    }
    if (state.peak == 0) return;
    options.put_struct(TCA_TBF_PRATE64, &state.peak, sizeof state.peak);
    options.put_u32(TCA_TBF_PBURST, bucket.chunk);
  });
  return message;
}

Message put_fair_queue(int ifindex, const std::string& link, std::uint32_t root,
                       const FairQueue& queue) {
  Message message(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
                  concat("put fq_codel on link ", quote(link)));
  message.header(header(ifindex, root | kClass));
  message.put_text(TCA_KIND, "fq_codel");
  message.nest(TCA_OPTIONS, [&](Message& options) {
    options.put_u32(TCA_FQ_CODEL_TARGET, queue.target);
    options.put_u32(TCA_FQ_CODEL_INTERVAL, queue.interval);
    options.put_u32(TCA_FQ_CODEL_LIMIT, queue.limit);
    if (queue.flows != 0) options.put_u32(TCA_FQ_CODEL_FLOWS, queue.flows);
  });
  return message;
}

Message delete_root_qdisc(int ifindex, const std::string& link, std::uint32_t handle) {
  Message message(RTM_DELQDISC, NLM_F_ACK, concat("remove the rate limit of link ", quote(link)));
  message.header(header(ifindex, TC_H_ROOT, handle));
  return message;
}

Message new_clsact(int ifindex, const std::string& link) {
  Message message(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                  concat("put clsact on link ", quote(link)));
  message.header(header(ifindex, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0)));
  message.put_text(TCA_KIND, "clsact");
  return message;
}

Message delete_ingress_qdisc(int ifindex, const std::string& link) {
  Message message(RTM_DELQDISC, NLM_F_ACK, concat("remove clsact from link ", quote(link)));
  message.header(header(ifindex, TC_H_INGRESS));
  return message;
}

std::vector<Filter> list_ingress_filters(Socket& socket, int ifindex) {
  return list_filters(socket, ifindex, kIngressFilters);
}

bool has_egress_filters(Socket& socket, int ifindex) {
  return !list_filters(socket, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)).empty();
}

Message new_redirect(int ifindex, const std::string& link, std::uint16_t priority, int target) {
  Message message(RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                  concat("redirect what arrives at link ", quote(link)));
  tcmsg info = header(ifindex, kIngressFilters);
  info.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(priority) << 16, htons(ETH_P_ALL));
  message.header(info);
  message.put_text(TCA_KIND, "u32");
  // One key whose mask is empty: every packet.
  tc_u32_sel head{};
  head.flags = TC_U32_TERMINAL;
  head.nkeys = 1;
  std::array<std::uint8_t, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> selector{};
  std::memcpy(selector.data(), &head, sizeof head);
  tc_mirred parameters{};
  parameters.action = TC_ACT_STOLEN;
  parameters.eaction = TCA_EGRESS_REDIR;
  parameters.ifindex = static_cast<std::uint32_t>(target);
  message.nest(TCA_OPTIONS, [&](Message& options) {
    options.put_bytes(TCA_U32_SEL, selector);
    options.nest(TCA_U32_ACT, [&](Message& actions) {
      actions.nest(1, [&](Message& action) {
        action.put_text(TCA_ACT_KIND, "mirred");
        action.nest(TCA_ACT_OPTIONS, [&](Message& mirred) {
          mirred.put_struct(TCA_MIRRED_PARMS, &parameters, sizeof parameters);
        });
      });
    });
  });
  return message;
}

Message delete_ingress_filters(int ifindex, const std::string& link, std::uint16_t priority,
                               std::uint16_t protocol) {
  Message message(RTM_DELTFILTER, NLM_F_ACK,
                  concat("stop redirecting what arrives at link ", quote(link)));
  tcmsg info = header(ifindex, kIngressFilters);
  info.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(priority) << 16, htons(protocol));
  message.header(info);
  return message;
}

}  // namespace cni::netlink
