// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "model/result.h"
#include "packet.h"

/// What a server granted, and what it means for an interface. Pure.
namespace cni::dhcp {

/// Since the machine's start, counting while it sleeps (CLOCK_BOOTTIME).
using Time = std::chrono::milliseconds;
inline constexpr Time kNever = Time::max();

struct Lease {
  IpAddress address, server;
  Mac sender;  // of the frame that the grant came in: the server's, or its relay's
  Options options;
  Time t1{}, t2{}, expiry{};  // t1 <= t2 <= expiry; all kNever when it does not end

  /// Of a DHCPACK; its times count from `asked`, when the request was sent. Times that are missing
  /// or make no sense are replaced by the usual parts of the whole. nullopt when the message names
  /// no address or no server.
  [[nodiscard]] static std::optional<Lease> of(const Packet& ack, const Mac& sender, Time asked);
  friend bool operator==(const Lease&, const Lease&) = default;
};

/// The lease as an IPAM result: address, gateway, routes, DNS. `priority` is given to all routes.
/// Throws Error without a subnet mask.
[[nodiscard]] Result to_result(const Lease& lease, unsigned priority);

struct ClasslessRoute {
  IpNet to;
  IpAddress router;  // unspecified: on the link
  friend bool operator==(const ClasslessRoute&, const ClasslessRoute&) = default;
};
/// Option 121 (RFC 3442); nullopt when it is malformed.
[[nodiscard]] std::optional<std::vector<ClasslessRoute>> parse_classless_routes(View value);
/// Option 119 (RFC 3397): names, compressed as in DNS. Those up to the first malformed one.
[[nodiscard]] std::vector<std::string> parse_domain_search(View value);

}  // namespace cni::dhcp
