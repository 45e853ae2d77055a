// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"
#include "netlink/saved.h"
#include "netlink/socket.h"

namespace cni::netlink {

inline constexpr unsigned kMainTable = 254, kLocalTable = 255;
inline constexpr unsigned kScopeUniverse = 0, kScopeLink = 253, kScopeHost = 254;

/// A unicast route of the kernel, in the namespace of the socket that asked.
struct KernelRoute {
  IpNet dst;
  std::optional<IpAddress> gateway;
  int ifindex = 0;
  unsigned table = kMainTable;
  unsigned metric = 0;
  std::optional<unsigned> scope;
  unsigned mtu = 0;     // bytes, 0: not set
  unsigned advmss = 0;  // bytes, 0: not set
  std::optional<IpAddress> source;
  std::uint8_t protocol = 0;  // RTPROT_*: who made it; 0: "boot", as ip(8) does
  /// Or had from a router advertisement.
  [[nodiscard]] bool is_made_by_kernel() const noexcept;
  bool onlink = false;  // the gateway is on the link, whatever the addresses say
};

/// What a route to the same destination with the same metric means: it may have another gateway and
/// stand beside (EEXIST only if identical), or it makes the new one fail with EEXIST.
enum class Existing : unsigned char { kBeside, kRefuse };
[[nodiscard]] Message new_route(const KernelRoute& route, const std::string& link,
                                Existing existing = Existing::kBeside);

/// One with this destination, gateway, table and metric (0: any); ESRCH when there is none.
[[nodiscard]] Message delete_route(const KernelRoute& route, const std::string& link);

/// The unicast routes out of one link, in all tables, both families.
[[nodiscard]] std::vector<KernelRoute> list_routes(Socket& socket, int ifindex);

/// A route as a whole, several next hops included: `route` tells its first.
struct SavedRoute {
  Saved saved;
  KernelRoute route;
};
/// The unicast routes that lead out of one link, or of any if that is 0, in all tables, those that
/// others need first. Local ones and the like count only for 0.
[[nodiscard]] std::vector<SavedRoute> list_saved_routes(Socket& socket, int ifindex);

/// The link of the default route of the main table: the best of IPv4, else of IPv6; of several next
/// hops the first. nullopt when there is none.
[[nodiscard]] std::optional<int> find_default_link(Socket& socket);

/// The links with IPv6 routes that the host learned from router advertisements, each once.
[[nodiscard]] std::vector<int> list_links_with_advertised_routes(Socket& socket);

/// The metric the kernel gives the route: IPv6 has none of 0.
[[nodiscard]] unsigned effective_metric(const KernelRoute& route) noexcept;

[[nodiscard]] std::string text(const KernelRoute& route);

/// Where the kernel would send a packet.
struct Way {
  int ifindex = 0;      // out of this link
  bool local = false;   // to this host itself
  bool direct = false;  // over no gateway
};
/// nullopt when there is no way.
[[nodiscard]] std::optional<Way> find_way(Socket& socket, const IpAddress& to);
/// The same for a packet from `source` that comes in over a link.
[[nodiscard]] std::optional<Way> find_way(Socket& socket, const IpAddress& to,
                                          const IpAddress& source, int input);

/// Packets to the address that come in over this link are for this host, too. Behind other routes
/// to it, with a metric of the link's own. EEXIST when it is there.
[[nodiscard]] Message new_local_route(const IpAddress& address, int ifindex,
                                      const std::string& link);

}  // namespace cni::netlink
