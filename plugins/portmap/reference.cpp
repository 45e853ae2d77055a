// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "reference.h"

#include <algorithm>

#include "nft/change.h"
#include "nft/table.h"

namespace cni::portmap::reference {
namespace {

constexpr std::string_view kPorts = "hostports";
constexpr std::string_view kChains[] = {kPorts, "hostip_hostports", "masquerading"};

nft::Table table_of(nft::TableFamily family) { return {family, "cni_hostport"}; }

bool mentions(const nft::StoredRule& rule, const IpAddress& address) {
  return std::ranges::any_of(rule.constants, [&](const auto& constant) {
    return std::ranges::equal(constant, address.bytes());
  });
}

bool is_chosen(const nft::StoredRule& rule, std::string_view container_id,
               const std::vector<IpAddress>& addresses) {
  return rule.comment == container_id &&
         (addresses.empty() || std::ranges::any_of(addresses, [&](const IpAddress& address) {
            return mentions(rule, address);
          }));
}

void remove_from(netlink::Socket& socket, const nft::Table& table, std::string_view container_id,
                 const std::vector<IpAddress>& addresses) {
  nft::change(socket, "remove the reference's published ports", [&](nft::Transaction& transaction) {
    for (const std::string_view chain : kChains) {
      for (const nft::StoredRule& rule : nft::list_rules(socket, table, chain)) {
        if (is_chosen(rule, container_id, addresses)) {
          nft::delete_rule(transaction, table, chain, rule.handle);
        }
      }
    }
  });
}

}  // namespace

void remove(Host& host, std::string_view container_id, const std::vector<IpAddress>& addresses) {
  if (!host.has_nft()) return;
  for (const nft::TableFamily family : {nft::TableFamily::kIpv4, nft::TableFamily::kIpv6}) {
    const nft::Table table = table_of(family);
    if (!nft::has_chain(host.nft(), table, kPorts)) continue;
    remove_from(host.nft(), table, container_id, addresses);
  }
}

std::size_t count(Host& host, std::string_view container_id, const IpAddress& address) {
  if (!host.has_nft()) return 0;
  const auto family = address.is_v4() ? nft::TableFamily::kIpv4 : nft::TableFamily::kIpv6;
  const auto rules = nft::list_rules(host.nft(), table_of(family), kPorts);
  return static_cast<std::size_t>(std::ranges::count_if(
      rules, [&](const auto& rule) { return is_chosen(rule, container_id, {address}); }));
}

}  // namespace cni::portmap::reference
