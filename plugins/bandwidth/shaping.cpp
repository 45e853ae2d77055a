// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "shaping.h"

#include <linux/if_ether.h>

#include <algorithm>
#include <cerrno>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/kinds.h"
#include "netns/netns.h"
#include "unshaping.h"

namespace cni::bandwidth {
namespace {

using netlink::Link;
using netlink::Message;
using netlink::Qdisc;

constexpr std::size_t kNameDigits = 12;  // IFNAMSIZ leaves 15 bytes
// The last: filters of others see the packets first, and would never see them behind this one.
constexpr std::uint16_t kPriority = 0xcc00;

[[noreturn]] void differs(const std::string& what) { throw Error(ErrorCode::kMismatch, what); }

void require_free(const Link& link, const std::optional<Qdisc>& root) {
  if (!root || root->handle == 0 || is_own_bucket(*root)) return;
  throw Error(
      ErrorCode::kConflict,
      concat("link ", quote(link.name), " has a root qdisc ", quote(root->kind), " already"),
      "somebody else limits it, or shares it out");
}

/// False when the kernel has no fq_codel.
bool put_fair_bucket(netlink::Socket& socket, const Link& link, const Limit& limit, unsigned mtu,
                     bool has_queue) {
  Message bucket =
      netlink::put_token_bucket(link.ifindex, link.name, kFairHandle, bucket_of(limit, mtu));
  netlink::FairQueue wanted = queue_of(limit, mtu);
  if (has_queue) wanted.flows = 0;
  Message queue = netlink::put_fair_queue(link.ifindex, link.name, kFairHandle, wanted);
  queue.tolerate(ENOENT);
  Message* const both[] = {&bucket, &queue};
  socket.transact(both);
  return queue.error() == 0;
}

/// True when an earlier ADD put one here.
bool has_fair_queue(netlink::Socket& socket, const Link& link, const std::optional<Qdisc>& root) {
  if (!root || root->handle != kFairHandle) return false;
  const auto child = netlink::find_child_qdisc(socket, link.ifindex, kFairHandle);
  return child && child->fair_queue;
}

void put_bucket(netlink::Socket& socket, const Link& link, const Limit& limit, unsigned mtu,
                bool has_queue) {
  if (put_fair_bucket(socket, link, limit, mtu, has_queue)) return;
  log::warn(concat("the kernel has no fq_codel: the queue of link ", quote(link.name),
                   " is short, but its flows delay each other"));
  Message bucket =
      netlink::put_token_bucket(link.ifindex, link.name, kPlainHandle, bucket_of(limit, mtu));
  socket.transact(bucket);
}

void warn_of_small_burst(const Limit& limit, const netlink::TokenBucket& bucket,
                         const std::string& link) {
  if (!limit.burst || bucket.burst == *limit.burst) return;
  log::warn(concat("burst of link ", quote(link), " raised from ", *limit.burst, " to ",
                   bucket.burst, " bytes: a frame would not fit"));
}

bool belongs_to(const Link& link, const Owner& owner) {
  // Without label: its ADD was killed before it could write one.
  return link.kind == "ifb" && (link.alias.empty() || Owner::tag_of(link.alias) == owner.tag());
}

/// Up, labelled, with this MTU.
Link ensure_ifb(Host& host, const Names& names, unsigned mtu, Rollback& rollback) {
  const Owner& owner = names.owner;
  const std::string& name = names.ifb;
  auto ifb = netlink::find_link(host.route(), name);
  if (ifb && !belongs_to(*ifb, owner)) {
    throw Error(ErrorCode::kConflict, concat("the host has a link ", quote(name), " already"),
                concat("its alias is ", quote(ifb->alias)));
  }
  if (!ifb) {
    rollback.on_failure("delete the ifb", [&host, owner, name] {
      const auto made = netlink::find_link(host.route(), name);
      if (made && belongs_to(*made, owner)) {
        netlink::delete_link_if_exists(host.route(), made->ifindex, name);
      }
    });
    Message creation = netlink::new_ifb({.name = name, .mtu = mtu});
    host.route().transact(creation);
    // It forwards; it has no use for an address of its own.
    sysctl::write(sysctl::link_entry("ipv6", name, "disable_ipv6"), "1");
  }
  netlink::LinkChange change;
  change.up = true;
  change.mtu = mtu;
  change.alias = owner.label({}, netlink::kMaxAlias);
  Message setup = netlink::change_link(0, name, change);
  // For the container's other interface the name is taken, and older kernels have none to give.
  Message second = netlink::add_name(name, names.reference_ifb);
  second.tolerate(EEXIST).tolerate(EOPNOTSUPP).tolerate(EINVAL);
  Message look = netlink::get_link_message(name);
  Message* const all[] = {&setup, &second, &look};
  host.route().transact(all);
  const auto ready = netlink::link_of(look);
  if (!ready) throw KernelError(ENODEV, look.what());
  return *ready;
}

bool is_redirect_to(const netlink::Filter& filter, int target) {
  return filter.redirects && filter.all && filter.protocol == ETH_P_ALL && filter.target == target;
}

}  // namespace

std::string ifb_name(const Owner& owner) { return "ifb" + sha512_hex(owner.tag(), kNameDigits); }

std::string reference_ifb_name(std::string_view network, std::string_view container_id) {
  return "bwp" + sha512_hex(concat(network, container_id), kNameDigits);
}

Names::Names(const Request& request)
    : owner(request.conf.name, request.container_id, request.ifname),
      ifb(ifb_name(owner)),
      reference_ifb(reference_ifb_name(request.conf.name, request.container_id)) {}

std::optional<Link> find_reference_ifb(Host& host, const Names& names) {
  auto ifb = netlink::find_link(host.route(), names.reference_ifb);
  if (!ifb || ifb->kind != "ifb" || ifb->name != names.reference_ifb) return std::nullopt;
  return ifb;
}

bool is_own_bucket(const Qdisc& root) noexcept {
  return root.kind == "tbf" && (root.handle == kFairHandle || root.handle == kPlainHandle ||
                                root.handle == kReferenceHandle);
}

Link get_host_end(Host& host, Sandbox& sandbox, const std::string& ifname) {
  const Link inside = netlink::get_link(sandbox.route(), ifname);
  if (inside.kind != "veth") {
    throw Error(ErrorCode::kInvalidConfig,
                concat("interface ", quote(ifname), " in the container is no veth"),
                "only what has an end on the host can be limited there");
  }
  auto end = find_host_end(host, inside);
  if (end) return *std::move(end);
  throw KernelError(ENODEV, concat("the other end of ", quote(ifname), " is not on the host"));
}

void limit_link(Host& host, const Link& link, const Limit& limit, unsigned mtu,
                Rollback& rollback) {
  const log::Step timed(concat("limit ", link.name));
  const auto root = netlink::find_root_qdisc(host.route(), link.ifindex);
  require_free(link, root);
  warn_of_small_burst(limit, bucket_of(limit, mtu), link.name);
  if (!root || root->handle == 0) {
    rollback.on_failure("remove the rate limit", [&host, link] { remove_own_bucket(host, link); });
  }
  put_bucket(host.route(), link, limit, mtu, has_fair_queue(host.route(), link, root));
}

Link limit_arrivals(Host& host, const Link& veth, const Names& names, const Limit& limit,
                    Rollback& rollback) {
  const Link ifb = ensure_ifb(host, names, veth.mtu, rollback);
  limit_link(host, ifb, limit, veth.mtu, rollback);
  const log::Step timed("redirect");
  const auto filters = netlink::list_ingress_filters(host.route(), veth.ifindex);
  const bool redirected = std::ranges::any_of(
      filters, [&](const netlink::Filter& filter) { return is_redirect_to(filter, ifb.ifindex); });
  if (redirected) return ifb;
  // Packets go through the ifb from the moment of the second request on: everything is ready.
  rollback.on_failure("stop redirecting", [&host, veth, target = ifb.ifindex] {
    stop_redirecting(host, veth, {target});
  });
  Message place = netlink::new_clsact(veth.ifindex, veth.name);
  place.tolerate(EEXIST);
  Message redirect = netlink::new_redirect(veth.ifindex, veth.name, kPriority, ifb.ifindex);
  Message* const both[] = {&place, &redirect};
  host.route().transact(both);
  return ifb;
}

void check_limit(Host& host, const Link& link, const Limit& limit, unsigned mtu) {
  const auto root = netlink::find_root_qdisc(host.route(), link.ifindex);
  if (!root || !root->token_bucket) {
    differs(concat("link ", quote(link.name), " has no rate limit: its root qdisc is ",
                   quote(root ? root->kind : "none")));
  }
  const netlink::TokenBucketState& now = *root->token_bucket;
  if (root->handle == kReferenceHandle && now == state_of_reference(limit, now.burst_ticks)) return;
  const netlink::TokenBucketState wanted = netlink::state_of(bucket_of(limit, mtu));
  const auto compare = [&](std::string_view what, std::uint64_t is, std::uint64_t should_be) {
    if (is == should_be) return;
    differs(concat("rate limit of link ", quote(link.name), ": ", what, " is ", is, " instead of ",
                   should_be));
  };
  compare("rate (bytes/s)", now.rate, wanted.rate);
  compare("burst (ticks)", now.burst_ticks, wanted.burst_ticks);
  compare("limit (bytes)", now.limit, wanted.limit);
  compare("peak rate (bytes/s)", now.peak, wanted.peak);
  compare("peak burst (ticks)", now.chunk_ticks, wanted.chunk_ticks);
  if (root->handle != kFairHandle) return;
  const auto child = netlink::find_child_qdisc(host.route(), link.ifindex, kFairHandle);
  if (!child || !child->fair_queue || !queue_of(limit, mtu).matches(*child->fair_queue)) {
    differs(concat("rate limit of link ", quote(link.name),
                   ": fq_codel is missing, or not made for this rate and MTU ", mtu));
  }
}

Link check_arrivals(Host& host, const Link& veth, const Names& names, const Limit& limit) {
  auto ifb = netlink::find_link(host.route(), names.ifb);
  const bool ours = ifb.has_value();
  if (!ours) ifb = find_reference_ifb(host, names);
  if (!ifb) differs(concat("link ", quote(names.ifb), " is missing"));
  if (ifb->kind != "ifb") differs(concat("link ", quote(ifb->name), " is no ifb"));
  if (ours && Owner::tag_of(ifb->alias) != names.owner.tag()) {
    differs(concat("link ", quote(ifb->name), " has another alias: ", quote(ifb->alias)));
  }
  if (!ifb->is_up()) differs(concat("link ", quote(ifb->name), " is down"));
  if (ifb->mtu != veth.mtu) {
    differs(concat("link ", quote(ifb->name), " has MTU ", ifb->mtu, " instead of ", veth.mtu));
  }
  check_limit(host, *ifb, limit, veth.mtu);
  const auto filters = netlink::list_ingress_filters(host.route(), veth.ifindex);
  const bool redirected = std::ranges::any_of(
      filters, [&](const netlink::Filter& f) { return is_redirect_to(f, ifb->ifindex); });
  if (!redirected) {
    differs(concat("what arrives at link ", quote(veth.name), " is not redirected to ",
                   quote(ifb->name)));
  }
  return *std::move(ifb);
}

void probe(const Limits& limits) {
  constexpr unsigned kMtu = 1500;
  constexpr std::uint64_t kRate = 1'000'000;
  const Limit limit{kRate, std::nullopt};
  const bool arrivals = limits.egress || !limits.ingress;
  auto socket = netlink::Socket::open_in(NetNs::create(), netlink::Socket::Protocol::kRoute);
  // Whatever kind of link it is: lo will do for the limit.
  Link link = netlink::get_link(socket, "lo");
  if (arrivals) {
    const std::string name = "probe";
    Message creation = netlink::new_ifb({.name = name, .mtu = kMtu});
    socket.transact(creation);
    link = netlink::get_link(socket, name);
  }
  put_bucket(socket, link, limit, kMtu, false);
  if (!arrivals) return;
  Message place = netlink::new_clsact(link.ifindex, link.name);
  Message redirect = netlink::new_redirect(link.ifindex, link.name, kPriority, link.ifindex);
  Message* const both[] = {&place, &redirect};
  socket.transact(both);
}

}  // namespace cni::bandwidth
