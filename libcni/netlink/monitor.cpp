// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/monitor.h"

#include <linux/rtnetlink.h>

#include <cerrno>

#include "base/concat.h"
#include "base/error.h"
#include "netlink/address.h"

namespace cni::netlink {
namespace {

/// Whether one of the datagram's messages may concern the link.
bool concerns(const std::string& event, int ifindex) {
  if (ifindex == 0) return true;
  const void* const bytes = event.data();
  auto* header = static_cast<const nlmsghdr*>(bytes);
  int rest = static_cast<int>(event.size());
  for (; nlmsg_ok(header, rest); header = nlmsg_next(const_cast<nlmsghdr*>(header), &rest)) {
    const Reply reply(header);
    const bool of_link = reply.type() == RTM_NEWLINK || reply.type() == RTM_DELLINK;
    if (!of_link || reply.header<ifinfomsg>().ifi_index == ifindex) return true;
  }
  return false;
}

}  // namespace

Monitor::Monitor(const NetNs& netns, unsigned group)
    : socket_(Socket::open_in(netns, Socket::Protocol::kRoute)) {
  socket_.subscribe(group);
}

bool Monitor::wait_until(const std::function<bool()>& holds, int ifindex) {
  while (!holds()) {
    std::optional<std::string> event;
    do {
      event = socket_.receive_event();
      if (!event) return false;
    } while (!concerns(*event, ifindex));
  }
  return true;
}

bool wait_until_operational(Socket& socket, const NetNs& netns, const Link& link) {
  const auto operational = [&] {
    const auto found = find_link(socket, link.ifindex);
    if (!found) throw KernelError(ENODEV, concat("wait for link ", quote(link.name)));
    return found->is_operational();
  };
  // Since Linux 6.8 the look-up itself brings the state up to date, and this is enough.
  if (operational()) return true;
  return Monitor(netns, RTNLGRP_LINK).wait_until(operational, link.ifindex);
}

bool wait_until_settled(Socket& socket, const NetNs& netns, int ifindex, const std::string& link) {
  const auto settled = [&] {
    bool done = true;
    for (const Address& address : list_addresses(socket, ifindex)) {
      if (address.dad_failed()) {
        throw Error(ErrorCode::kConflict,
                    concat("link ", quote(link), " has address ", address.net.address.text(),
                           " in DADFAILED state"),
                    "another host on this network uses the address");
      }
      done = done && !address.is_tentative();
    }
    return done;
  };
  if (settled()) return true;
  return Monitor(netns, RTNLGRP_IPV6_IFADDR).wait_until(settled);
}

}  // namespace cni::netlink
