// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/owner.h"

/// Containers' addresses as sources of a zone of firewalld, through D-Bus; firewalld's runtime
/// configuration only, as the reference does it. firewalld does not say whose a source is: that is
/// kept in files /run/cnipp/firewalld/<address>, which are as short-lived as the sources, so that
/// DEL and GC find what they must remove, and leave an address that somebody else has by now. No
/// wait is longer than the verb's deadline.
namespace cni::firewall::firewalld {

/// Whether firewalld is on the bus and answers this caller. A bus that does not answer throws
/// Error{kTryAgain} where firewalld is `expected`; else it is waited for two seconds, and counts as
/// none.
[[nodiscard]] bool is_running(bool expected);
/// Throws Error{kNotAvailable} when there is no bus, or no firewalld on it.
void require_running();

/// Idempotent; on failure nothing of this call is left. Throws Error{kNotAvailable} as
/// require_running, Error{kConflict} when another zone has one of the addresses.
void add(const Owner& owner, const std::vector<IpAddress>& addresses, const std::string& zone);
/// Removes the owner's sources. `likely` are addresses it may have had; without any, all files are
/// read. Those that have no file (the reference made them) are removed from `zone` unless that is
/// empty. A firewalld that does not run has no sources: success.
void remove(const Owner& owner, const std::vector<IpAddress>& likely, const std::string& zone);
/// Throws Error{kMismatch} naming the first address that the zone does not have.
void check(const Owner& owner, const std::vector<IpAddress>& addresses, const std::string& zone);
/// Removes the sources of the network's owners for which keep(tag) is false.
void collect(std::string_view network, const std::function<bool(std::string_view tag)>& keep);

}  // namespace cni::firewall::firewalld
