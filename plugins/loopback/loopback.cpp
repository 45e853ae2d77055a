// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// loopback: sets the container's lo up.
//
// On the host:     nothing
// In the sandbox:  lo is up
// CNI_IFNAME is not looked at: runtimes send anything. Documentation: docs/plugins/loopback.md
#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/rollback.h"
#include "host/host.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "plugins.h"

namespace cni::loopback {
namespace {

using netlink::Address;
using netlink::Link;

constexpr const char* kName = "lo";

void set_up(Sandbox& sandbox, const Link& lo, bool up) {
  netlink::Message change = netlink::change_link(lo.ifindex, lo.name, {.up = up});
  sandbox.route().transact(change);
}

void require_only_loopback(const std::vector<Address>& addresses) {
  for (const Address& address : addresses) {
    if (address.net.address.is_loopback()) continue;
    throw Error(ErrorCode::kConflict, concat("loopback interface found with non-loopback address ",
                                             quote(address.net.address.text())));
  }
}

Result describe(const Request& request, const Link& lo, const std::vector<Address>& addresses) {
  Result result;
  Interface interface;
  interface.name = kName;
  interface.mac = lo.mac.text();
  interface.mtu = lo.mtu;
  interface.sandbox = request.netns;
  result.interfaces = {interface};
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto first = std::ranges::find_if(
        addresses, [&](const Address& address) { return address.net.family() == family; });
    if (first != addresses.end()) result.ips.push_back({0, first->net, std::nullopt});
  }
  return result;
}

Result add(const Request& request) {
  const std::optional<Result> previous = request.conf.prev_result();
  const Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  Rollback rollback;
  const Link lo = netlink::get_link(sandbox.route(), kName);
  if (!lo.is_up()) {
    rollback.on_failure("set lo down", [&] { set_up(sandbox, lo, false); });
    set_up(sandbox, lo, true);
  }
  const std::vector<Address> addresses = netlink::list_addresses(sandbox.route(), lo.ifindex);
  require_only_loopback(addresses);
  Result result = previous ? *previous : describe(request, lo, addresses);
  rollback.commit();
  return result;
}

void del(const Request& request) {
  const Host host;
  auto sandbox = Sandbox::open_if_exists(request.netns, host, request.netns_override);
  if (!sandbox) return;
  const auto lo = netlink::find_link(sandbox->route(), kName);
  if (lo && lo->is_up()) set_up(*sandbox, *lo, false);
}

void check(const Request& request) {
  const Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const Link lo = netlink::get_link(sandbox.route(), kName);
  if (!lo.is_up()) throw Error(ErrorCode::kMismatch, "loopback interface is down");
  require_only_loopback(netlink::list_addresses(sandbox.route(), lo.ifindex));
}

// A loopback interface goes with its namespace: there is nothing to collect and nothing to run out
// of.
void gc(const Request&, const OwnerSet&) {}
void status(const Request&) {}

}  // namespace

const Plugin plugin{
    .name = "loopback", .add = add, .check = check, .del = del, .gc = gc, .status = status};

}  // namespace cni::loopback
