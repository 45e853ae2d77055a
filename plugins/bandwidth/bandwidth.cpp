// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// bandwidth: limits the rate of a container that is connected by a veth pair.
//
// On the host:     ingress: a token bucket at the root of the veth's host end
//                  egress: ifb<hash>, labelled with the owner, with a token bucket; a filter on the
//                  host end that sends there what arrives from the container
// In the sandbox:  nothing
// Options and examples: docs/plugins/bandwidth.md
#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/rollback.h"
#include "host/host.h"
#include "plugins.h"
#include "protocol/chained.h"
#include "rate_limits.h"
#include "shaping.h"
#include "unshaping.h"

namespace cni::bandwidth {
namespace {

using netlink::Link;

/// Limits that the reference made are replaced: two of them in a row would delay twice.
void remove_reference_ifb(Host& host, const Names& names, const Link& veth) {
  const auto ifb = find_reference_ifb(host, names);
  if (!ifb) return;
  const auto filters = netlink::list_ingress_filters(host.route(), veth.ifindex);
  for (const netlink::Filter& filter : filters) {
    if (!filter.redirects || filter.target != ifb->ifindex) continue;
    stop_redirecting(host, veth, {ifb->ifindex});
    netlink::delete_link_if_exists(host.route(), ifb->ifindex, ifb->name);
    return;
  }
}

/// A prevResult that names links of the host, but not this one, is not about this container any
/// more.
void require_known(const Result& previous, const Link& veth) {
  const auto is_on_host = [](const Interface& one) { return one.sandbox.empty(); };
  if (std::ranges::none_of(previous.interfaces, is_on_host)) return;
  if (previous.find_interface(veth.name, "") != nullptr) return;
  throw Error(ErrorCode::kInvalidConfig,
              "prevResult.interfaces: no veth peer of container interface found in host ns",
              concat("the interface's end on the host is ", quote(veth.name)));
}

void report(const Link& ifb, Result& result) {
  for (Interface& interface : result.interfaces) {
    if (interface.name != ifb.name || !interface.sandbox.empty()) continue;
    interface.mac = ifb.mac.text();
    return;
  }
  Interface interface;
  interface.name = ifb.name;
  interface.mac = ifb.mac.text();
  result.interfaces.push_back(interface);
}

Result add(const Request& request) {
  const Limits limits = Limits::parse(request);
  Result result = required_prev_result(request, "bandwidth");
  if (limits.empty()) return result;

  Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  Rollback rollback;
  const Link veth = get_host_end(host, sandbox, request.ifname);
  require_known(result, veth);
  if (limits.ingress) limit_link(host, veth, *limits.ingress, veth.mtu, rollback);
  if (limits.egress) {
    const Names names(request);
    remove_reference_ifb(host, names, veth);
    const Link ifb = limit_arrivals(host, veth, names, *limits.egress, rollback);
    report(ifb, result);
  }
  rollback.commit();
  return result;
}

void del(const Request& request) {
  Host host;
  remove_limits(host, request);
}

void check(const Request& request) {
  const Limits limits = Limits::parse(request);
  const Result previous = required_prev_result(request, "bandwidth");
  if (limits.empty()) return;
  Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const auto inside = netlink::find_link(sandbox.route(), request.ifname);
  if (!inside) {
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(request.ifname), " is missing in the container"));
  }
  const Link veth = get_host_end(host, sandbox, request.ifname);
  require_known(previous, veth);
  if (limits.ingress) check_limit(host, veth, *limits.ingress, veth.mtu);
  if (!limits.egress) return;
  const Link ifb = check_arrivals(host, veth, Names(request), *limits.egress);
  const Interface* const reported = previous.find_interface(ifb.name, "");
  if (reported != nullptr && Mac::try_parse(reported->mac) != ifb.mac) {
    throw Error(ErrorCode::kMismatch, concat("link ", quote(ifb.name), " has MAC ", ifb.mac.text(),
                                             " instead of ", reported->mac));
  }
}

void gc(const Request& request, const OwnerSet& valid) {
  Host host;
  collect_ifbs(host, request.conf.name, valid);
}

void status(const Request& request) {
  const Limits limits = Limits::parse(request);
  Host host;
  require_permissions(host);
  probe(limits);
}

}  // namespace

const Plugin plugin{
    .name = "bandwidth", .add = add, .check = check, .del = del, .gc = gc, .status = status};

}  // namespace cni::bandwidth
