// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/ip.h"
#include "model/owner.h"
#include "nft/ensure.h"
#include "nft/set.h"

/// How masquerading is laid out in nf_tables: names, keys, rules (nftables.h shows them).
namespace cni::masquerade::nftables {

/// What containers with the same own subnets and the same exceptions share.
struct Policy {
  std::string name;         // of its chain: "masq-<hash>"
  std::vector<IpNet> left;  // destinations to which nothing is translated
  bool v4 = false, v6 = false;

  [[nodiscard]] std::string users() const;    // the chain that the ledger's entries go to
  [[nodiscard]] std::string invalid() const;  // the chain that drops
  [[nodiscard]] nft::Set sources(Family family) const;
  [[nodiscard]] std::vector<Family> families() const;
  /// Of a chain that the ledger's entries go to; with its name alone.
  [[nodiscard]] static Policy of_users(std::string_view users);
};
/// Of containers with these addresses, each with its prefix. `exclude` are the exceptions.
[[nodiscard]] Policy policy_of(const std::vector<IpNet>& addresses,
                               const std::vector<IpNet>& exclude);

[[nodiscard]] const nft::Table& table();
/// Which attachments use which policy: keys of owners and of addresses.
[[nodiscard]] const nft::Set& ledger();
[[nodiscard]] nft::Bytes owner_key(std::string_view tag);
[[nodiscard]] nft::Bytes address_key(const IpAddress& address);
/// An address's key in the set of sources, from its key in the ledger; empty: of an owner.
[[nodiscard]] nft::Bytes source_key(const nft::Bytes& ledger_key);
/// The ledger's entries of an owner, its own first; its comment names the addresses.
[[nodiscard]] std::vector<nft::SetElement> entries_of(const Owner& owner, const Policy& policy,
                                                      const std::vector<IpNet>& addresses);
/// The addresses that an owner's own entry names; nullopt when they did not fit.
[[nodiscard]] std::optional<std::vector<IpAddress>> addresses_in(const nft::SetElement& own);

/// Whether a chain or set of our table is masquerading's.
[[nodiscard]] bool is_part(std::string_view name);
[[nodiscard]] bool is_users_chain(std::string_view name);

/// Wakes the table and puts the hook in its place, where they are not so: for transactions that
/// take the rest for granted.
void ensure_hook(nft::Transaction& transaction);
/// The same, but the chain is only written where a look does not find it at its hook: a chain that
/// is changed lets the kernel wait for a grace period when the socket is closed.
void ensure_hook_if_missing(netlink::Socket& socket, nft::Transaction& transaction);
/// What all policies share.
void ensure_shared(netlink::Socket& socket, nft::Transaction& transaction);
void ensure_policy(netlink::Socket& socket, nft::Transaction& transaction, const Policy& policy);
/// A policy that nobody uses.
void delete_policy(netlink::Socket& socket, nft::Transaction& transaction, const Policy& policy);

/// The first difference between what is there and what these would make, in words.
[[nodiscard]] std::optional<std::string> find_shared_difference(netlink::Socket& socket);
[[nodiscard]] std::optional<std::string> find_policy_difference(netlink::Socket& socket,
                                                                const Policy& policy);

}  // namespace cni::masquerade::nftables
