// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/socket.h"

/// Addresses, routes and rules as the kernel told them, to be made again as they were: what they
/// are made of need not be known here.
namespace cni::netlink {

struct Saved {
  std::uint16_t type = 0;  // RTM_NEWADDR, ...
  std::string body;        // fixed header and attributes
  /// For files: the type and the body, in hexadecimal.
  [[nodiscard]] std::string text() const;
  /// Throws Error{kDecode}.
  [[nodiscard]] static Saved parse(std::string_view text);
  [[nodiscard]] static Saved of(const Reply& reply);
};

/// Of one link: all IPv4 addresses, and of IPv6 those that stay for ever and are not the kernel's
/// own.
[[nodiscard]] std::vector<Saved> save_addresses(Socket& socket, int ifindex);
/// The routes of all tables that lead out of the link, in an order in which they can be made; not
/// those that the kernel makes itself or has from router advertisements.
[[nodiscard]] std::vector<Saved> save_routes(Socket& socket, int ifindex);

/// The request that makes it again, on a link that has the number `ifindex` now, and had `before`.
/// EEXIST when it is there.
[[nodiscard]] Message make_again(const Saved& saved, int before, int ifindex);

/// The same route in another table. EEXIST when it is there.
[[nodiscard]] Message make_in_table(const Saved& route, unsigned table);
/// Deletes this route and no other. ESRCH when there is none.
[[nodiscard]] Message delete_route(const Saved& route);
/// Whether a route leads over other links than this one, too.
[[nodiscard]] bool leads_elsewhere(const Saved& route, int ifindex);

}  // namespace cni::netlink
