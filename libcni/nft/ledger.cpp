// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/ledger.h"

#include <linux/if.h>

#include "base/hash.h"
#include "nft/ensure.h"

namespace cni::nft {

std::optional<SetElement> Ledger::find(netlink::Socket& socket, const Owner& owner) const {
  auto element = find_element(socket, map_, owner_key(owner.tag()));
  if (element && element->tag() != owner.tag()) return std::nullopt;
  return element;
}

std::vector<SetElement> Ledger::list(netlink::Socket& socket) const {
  return list_elements(socket, map_);
}

void Ledger::put(netlink::Socket& socket, Transaction& transaction, const Owner& owner,
                 std::string_view chain, std::string_view extra) const {
  ensure_element(socket, transaction, map_,
                 {owner_key(owner.tag()), {}, std::string(chain), owner.label(extra, kMaxComment)});
}

Bytes owner_key(std::string_view tag) { return name_key(sha512_hex(tag, IFNAMSIZ - 1)); }

}  // namespace cni::nft
