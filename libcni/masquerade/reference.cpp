// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "masquerade/reference.h"

#include <algorithm>
#include <vector>

#include "nft/change.h"
#include "nft/table.h"

namespace cni::masquerade::reference {
namespace {

using netlink::Socket;

constexpr std::string_view kChain = "masq_checks";

const nft::Table& table() {
  static const nft::Table table{nft::TableFamily::kInet, "cni_plugins_masquerade"};
  return table;
}

}  // namespace

std::size_t count(Socket& socket, const Owner& owner) {
  if (!nft::has_chain(socket, table(), kChain)) return 0;
  const auto rules = nft::list_rules(socket, table(), kChain);
  return static_cast<std::size_t>(std::ranges::count_if(rules, [&](const nft::StoredRule& rule) {
    return Owner::tag_of(rule.comment) == owner.tag();
  }));
}

void remove(Socket& socket, const std::function<bool(std::string_view tag)>& chosen) {
  if (!nft::has_chain(socket, table(), kChain)) return;
  nft::change(socket, "remove the reference's masquerading", [&](nft::Transaction& transaction) {
    for (const nft::StoredRule& rule : nft::list_rules(socket, table(), kChain)) {
      if (!chosen(Owner::tag_of(rule.comment))) continue;
      nft::delete_rule(transaction, table(), kChain, rule.handle);
    }
  });
}

}  // namespace cni::masquerade::reference
