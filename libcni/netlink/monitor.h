// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>

#include "netlink/link.h"
#include "netlink/socket.h"

/// Waiting for the kernel, by its events, within the verb's deadline.
namespace cni::netlink {

inline constexpr unsigned kLinkEvents = 1;  // RTNLGRP_LINK

/// What the kernel tells of one group (RTNLGRP_*) in one namespace, from its making on.
class Monitor {
 public:
  Monitor(const NetNs& netns, unsigned group);

  /// Waits until holds(), which is asked at once and after every event; of events about links only
  /// those of `ifindex`, unless that is 0. False when the deadline passed.
  bool wait_until(const std::function<bool()>& holds, int ifindex = 0);

 private:
  Socket socket_;
};

/// Waits for the link, in the namespace of the socket, to be operationally up; false when the
/// deadline passed. Throws KernelError(ENODEV) when the link goes.
bool wait_until_operational(Socket& socket, const NetNs& netns, const Link& link);

/// Waits until no IPv6 address of the link is tentative. Throws Error{kConflict} when duplicate
/// address detection failed; false when the deadline passed.
bool wait_until_settled(Socket& socket, const NetNs& netns, int ifindex, const std::string& link);

}  // namespace cni::netlink
