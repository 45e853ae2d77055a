// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"
#include "netlink/socket.h"

namespace cni::netlink {

struct Address {
  IpNet net;
  unsigned flags = 0;  // IFA_F_*
  unsigned scope = 0;  // RT_SCOPE_*
  [[nodiscard]] bool is_tentative() const noexcept;
  [[nodiscard]] bool dad_failed() const noexcept;
  [[nodiscard]] bool is_permanent() const noexcept;
};

/// Of one link, of both families or one. For one the kernel need not wait for the lock of all
/// changes to links (since Linux 6.9).
[[nodiscard]] std::vector<Address> list_addresses(Socket& socket, int ifindex,
                                                  std::optional<Family> family = std::nullopt);

enum class Dad : unsigned char { kSkip, kPerform };
/// With kNone the kernel adds no route to the address's network, now or when the link comes back.
enum class PrefixRoute : unsigned char { kAdd, kNone };
/// EEXIST when the link has it. IPv4 gets the broadcast address of its prefix (shorter than /31).
[[nodiscard]] Message new_address(int ifindex, const std::string& link, const IpNet& net, Dad dad,
                                  PrefixRoute prefix_route = PrefixRoute::kAdd);
[[nodiscard]] Message delete_address(int ifindex, const std::string& link, const IpNet& net);

}  // namespace cni::netlink
