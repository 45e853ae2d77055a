// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nft/table.h"

/// What others have made in nf_tables. All functions act in the socket's namespace.
namespace cni::nft {

/// A chain that the kernel runs at one of its hooks.
struct BaseChain {
  Table table;
  std::string name;
  std::string type;        // "filter", "nat", "route"
  std::uint32_t hook = 0;  // NF_INET_FORWARD, ...
  bool drops = false;      // its policy
};

/// Of every family.
[[nodiscard]] std::vector<Table> list_tables(netlink::Socket& socket);
/// Of every table. Reads the chains that are at no hook, too: many on a node with many services.
[[nodiscard]] std::vector<BaseChain> list_base_chains(netlink::Socket& socket);
/// nullopt also when the chain is at no hook, or the table is missing.
[[nodiscard]] std::optional<BaseChain> find_base_chain(netlink::Socket& socket, const Table& table,
                                                       std::string_view name);

}  // namespace cni::nft
