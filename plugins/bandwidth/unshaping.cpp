// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "unshaping.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "attach/veth.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "netlink/qdisc.h"
#include "shaping.h"

namespace cni::bandwidth {
namespace {

using netlink::Filter;
using netlink::Link;
using netlink::Message;

bool has(const std::vector<int>& list, int value) {
  return std::ranges::find(list, value) != list.end();
}

/// The link's limits and redirection, whoever of the two made them.
void unshape(Host& host, const Link& veth, const std::vector<int>& targets) {
  stop_redirecting(host, veth, targets);
  remove_own_bucket(host, veth);
}

/// A host end that the runtime remembers, or that has the name bridge and ptp give it: its name may
/// be another container's by now.
bool may_belong_to(const Link& link, const Owner& owner) {
  if (link.kind != "veth" || !link.peer_elsewhere) return false;
  const std::string_view tag = Owner::tag_of(link.alias);
  return !Owner::is_tag(tag) || tag == owner.tag();
}

/// From the container, where it can be asked; else by name.
std::vector<Link> find_host_ends(Host& host, const Request& request, const Owner& owner) {
  if (auto sandbox = Sandbox::open_if_exists(request.netns, host, request.netns_override)) {
    const auto inside = netlink::find_link(sandbox->route(), request.ifname);
    if (inside && inside->kind == "veth") {
      if (auto end = find_host_end(host, *inside)) return {*std::move(end)};
    }
  }
  std::vector<std::string> names{host_veth_name(owner)};
  if (const auto previous = request.conf.prev_result_if_usable()) {
    for (const Interface& interface : previous->interfaces) {
      if (interface.sandbox.empty()) names.push_back(interface.name);
    }
  }
  std::vector<Link> out;
  for (const std::string& name : names) {
    if (interface_name_problem(name)) continue;
    auto link = netlink::find_link(host.route(), name);
    if (link && may_belong_to(*link, owner)) out.push_back(*std::move(link));
  }
  return out;
}

/// Links whose arrivals are redirected to this one.
std::vector<Link> find_redirecting(Host& host, int target) {
  std::vector<Link> out;
  for (const int ifindex : netlink::list_links_with_ingress_qdisc(host.route())) {
    const auto filters = netlink::list_ingress_filters(host.route(), ifindex);
    const bool redirects = std::ranges::any_of(
        filters, [&](const Filter& f) { return f.redirects && f.target == target; });
    if (!redirects) continue;
    if (auto link = netlink::find_link(host.route(), ifindex)) out.push_back(*std::move(link));
  }
  return out;
}

void delete_ifb(Host& host, const Link& ifb) {
  for (const Link& link : find_redirecting(host, ifb.ifindex)) {
    unshape(host, link, {ifb.ifindex});
  }
  netlink::delete_link_if_exists(host.route(), ifb.ifindex, ifb.name);
}

bool is_reference_name(std::string_view name) {
  return name.size() == 15 && name.starts_with("bwp") &&
         name.find_first_not_of("0123456789abcdef", 3) == name.npos;
}

/// One that was complete, and that nothing is redirected to any more. (An ADD of the reference puts
/// the token bucket on last.)
bool is_abandoned(Host& host, const Link& ifb) {
  if (!ifb.alias.empty() || !is_reference_name(ifb.name)) return false;
  const auto root = netlink::find_root_qdisc(host.route(), ifb.ifindex);
  return root && root->handle == kReferenceHandle && root->token_bucket &&
         find_redirecting(host, ifb.ifindex).empty();
}

/// Another DEL may be at its filters right now: then the kernel says EBUSY.
void remove_ingress_qdisc(Host& host, const Link& link) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    Message removal = netlink::delete_ingress_qdisc(link.ifindex, link.name);
    removal.tolerate(ENOENT).tolerate(ENODEV).tolerate(EINVAL);
    if (i + 1 < kTries) removal.tolerate(EBUSY);
    host.route().transact(removal);
    if (removal.error() != EBUSY) return;
    ::sched_yield();
  }
}

}  // namespace

std::optional<Link> find_host_end(Host& host, const Link& inside) {
  if (inside.peer == 0 || !inside.peer_elsewhere) return std::nullopt;
  auto end = netlink::find_link(host.route(), inside.peer);
  // Indices of different namespaces coincide: only if the relation holds both ways.
  const bool related = end && end->kind == "veth" && end->peer_elsewhere;
  if (!related || end->peer != inside.ifindex) return std::nullopt;
  return end;
}

void remove_own_bucket(Host& host, const Link& link) {
  const auto root = netlink::find_root_qdisc(host.route(), link.ifindex);
  if (!root || !is_own_bucket(*root)) return;
  Message removal = netlink::delete_root_qdisc(link.ifindex, link.name, root->handle);
  removal.tolerate(ENOENT).tolerate(ENODEV).tolerate(EINVAL);
  host.route().transact(removal);
}

void stop_redirecting(Host& host, const Link& link, const std::vector<int>& targets) {
  if (!netlink::find_ingress_qdisc(host.route(), link.ifindex)) return;
  for (const Filter& filter : netlink::list_ingress_filters(host.route(), link.ifindex)) {
    const bool ours = filter.redirects && (filter.target == 0 || has(targets, filter.target));
    if (!ours) continue;
    Message removal =
        netlink::delete_ingress_filters(link.ifindex, link.name, filter.priority, filter.protocol);
    removal.tolerate(ENOENT).tolerate(ENODEV).tolerate(EINVAL);
    host.route().transact(removal);
  }
  // An "ingress" has one list of filters, and shows it for both ways.
  const bool empty = netlink::list_ingress_filters(host.route(), link.ifindex).empty() &&
                     !netlink::has_egress_filters(host.route(), link.ifindex);
  if (!empty) return;
  remove_ingress_qdisc(host, link);
}

void remove_limits(Host& host, const Request& request) {
  const Names names(request);
  const Owner& owner = names.owner;
  auto ifb = netlink::find_link(host.route(), names.ifb);
  const bool is_ours =
      ifb && ifb->kind == "ifb" && (ifb->alias.empty() || Owner::tag_of(ifb->alias) == owner.tag());
  if (!is_ours) ifb.reset();
  const auto reference = find_reference_ifb(host, names);

  ErrorList errors;
  errors.attempt("remove limits from the host end", [&] {
    std::vector<int> targets;
    for (const auto& link : {ifb, reference}) {
      if (link) targets.push_back(link->ifindex);
    }
    for (const Link& end : find_host_ends(host, request, owner)) unshape(host, end, targets);
  });
  if (ifb) errors.attempt("delete the ifb", [&] { delete_ifb(host, *ifb); });
  // Another interface of the container may use the reference's: the name is the same.
  if (reference) {
    errors.attempt("delete the reference's ifb", [&] {
      if (find_redirecting(host, reference->ifindex).empty()) delete_ifb(host, *reference);
    });
  }
  errors.throw_if_any();
}

void collect_ifbs(Host& host, std::string_view network, const OwnerSet& valid) {
  const std::string prefix = Owner::network_tag(network);
  std::vector<std::string> kept;
  for (const Attachment& attachment : valid.attachments()) {
    kept.push_back(reference_ifb_name(network, attachment.container_id));
  }
  ErrorList errors;
  for (const Link& ifb : netlink::list_links(host.route(), 0, "ifb")) {
    errors.attempt(concat("collect ", quote(ifb.name)), [&] {
      const bool dead = ifb.alias.starts_with(prefix) && !valid.contains(Owner::tag_of(ifb.alias));
      const bool known = std::ranges::find(kept, ifb.name) != kept.end();
      if (dead || (!known && is_abandoned(host, ifb))) delete_ifb(host, ifb);
    });
  }
  errors.throw_if_any();
}

}  // namespace cni::bandwidth
