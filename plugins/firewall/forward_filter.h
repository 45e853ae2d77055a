// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <vector>

#include "model/ip.h"
#include "nft/table.h"

/// What filters forwarded packets on a host. A packet must be accepted by each base chain of the
/// hook: an accept in one does not spare it a drop in another.
namespace cni::firewall {

struct ForwardFilter {
  enum class Kind : unsigned char {
    kIptables,   // chain FORWARD of iptables-nft: it accepts what is accepted in it
    kFirewalld,  // to be told through D-Bus
    kForeign,    // somebody else's: it cannot be told
  };
  Kind kind = Kind::kForeign;
  nft::Table table;
  std::string chain;
  bool drops = false;  // its policy

  /// "table inet filter, chain forward"
  [[nodiscard]] std::string text() const;
};

/// The base chains at the hook "forward" of every table but our own. Cheap where only the usual
/// tables exist.
[[nodiscard]] std::vector<ForwardFilter> list_forward_filters(netlink::Socket& socket);

/// The table of iptables' or ip6tables' filter rules.
[[nodiscard]] nft::Table iptables_filter(Family family);

}  // namespace cni::firewall
