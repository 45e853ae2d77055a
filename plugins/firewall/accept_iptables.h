// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/ip.h"
#include "model/owner.h"

/// Forwarding rules of containers in iptables' filter table, in the chains and with the comments of
/// the reference, so that either can remove what the other made. To its two rules an address we add
/// a third, which accepts connections whose destination was translated (published ports) and says
/// in its comment whose the address is. One `iptables-save` and one `iptables-restore` a family and
/// call, one call at a time. Acts in the calling thread's namespace, which is the host's.
namespace cni::firewall::iptables {

struct Rules {
  std::vector<IpAddress> addresses;
  std::string admin_chain;
  std::string link;      // the bridge, if there is a policy
  std::string policy;    // "same-bridge", "isolated", "" when there is none
  bool recorded = true;  // for CHECK: made by us, with the third rule
};

/// Idempotent; on failure nothing of this call is left. Throws Error{kNotAvailable} when the
/// programs are missing.
void add(Host& host, const Owner& owner, const Rules& rules);
/// Removes the owner's rules and those of these addresses, unless they are another owner's by now.
/// Runs nothing when the kernel has no rule that could be meant. Policies stay: they are shared.
void remove(Host& host, const Owner& owner, const std::vector<IpAddress>& addresses);
/// Throws Error{kMismatch} naming the first rule that is missing.
void check(const Owner& owner, const Rules& rules);
/// Removes the rules of the network's owners for which keep(tag) is false.
void collect(Host& host, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep);
/// Removes the policies of links that do not exist any more.
void remove_unused(Host& host);

}  // namespace cni::firewall::iptables
