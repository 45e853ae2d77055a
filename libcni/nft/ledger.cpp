// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/ledger.h"

#include <linux/if.h>

#include "base/concat.h"
#include "base/hash.h"
#include "nft/ensure.h"

namespace cni::nft {
namespace {

std::vector<std::uint8_t> key_of(const Owner& owner) {
  return name_key(sha512_hex(owner.tag(), IFNAMSIZ - 1));
}

}  // namespace

Ledger::Ledger(Table table, std::string_view map) : map_(name_map(table, map)) {}

std::optional<Element> Ledger::find(netlink::Socket& socket, const Owner& owner) const {
  auto element = find_element(socket, map_, key_of(owner));
  if (element && element->tag() != owner.tag()) return std::nullopt;
  return element;
}

std::vector<Element> Ledger::list(netlink::Socket& socket) const {
  return list_elements(socket, map_);
}

void Ledger::put(netlink::Socket& socket, Transaction& transaction, const Owner& owner,
                 std::string_view chain, std::string_view extra) const {
  ensure_element(socket, transaction, map_, key_of(owner), NFT_GOTO, chain,
                 owner.label(extra, kMaxComment));
}

std::string_view value_in_comment(const Element& element, std::string_view key) {
  const std::string wanted = concat(" ", key);
  const auto at = element.comment.find(wanted);
  if (at == std::string::npos) return {};
  const std::string_view rest = std::string_view(element.comment).substr(at + wanted.size());
  return rest.substr(0, rest.find_first_of(" ,"));
}

}  // namespace cni::nft
