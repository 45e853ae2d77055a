// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/owner.h"
#include "nft/set.h"
#include "ports.h"

/// How published ports are laid out in nf_tables: names, keys, rules.
namespace cni::portmap::nftables {

using nft::Bytes;
using nft::Set;
using nft::SetElement;
using nft::Table;
using nft::Transaction;

/// The sets of one family.
struct FamilySets {
  Family family;
  Set ports;             // protocol . port : container . port
  Set bound_ports;       // host's address . protocol . port : container . port
  Set restricted;        // protocol . port : goto the owner's conditions
  Set bound_restricted;  // host's address . protocol . port : the same
  Set targets;           // container : goto how its connections are masqueraded
  Set hairpins;          // container . container
  Set siblings;          // link . container
  // Ports that another attachment of the same container, or the pod's successor, has meanwhile:
  Set waiting;             // owner . host's address or 0 . protocol . port : container . port
  Set waiting_restricted;  // the same : goto the owner's conditions
};

struct Layout {
  Table table;
  Set owners;  // one element of each owner; its comment has the number of all
  Set opened;  // owner : goto the chain that stands for a link that is open for it
  FamilySets v4, v6;

  explicit Layout(std::string_view table_name);
  [[nodiscard]] const FamilySets& of(Family family) const noexcept {
    return family == Family::kV4 ? v4 : v6;
  }
  [[nodiscard]] std::vector<const Set*> sets() const;
};
[[nodiscard]] const Layout& our_layout();

/// An element and the set it belongs into.
struct Entry {
  const Set* set;
  SetElement element;
};

/// All elements of an owner, that of `owners` first.
[[nodiscard]] std::vector<Entry> entries_of(const Layout& layout, const Owner& owner,
                                            const Ports& ports);
[[nodiscard]] Bytes port_key(const IpAddress& host, const PortMapping& mapping);
/// What the comment of an owner's element tells: how many elements it has, the link to a family.
[[nodiscard]] std::size_t count_in(std::string_view comment);
[[nodiscard]] std::string via_in(std::string_view comment, Family family);

/// The chain of an owner's conditions in one family, and whether a chain is such.
[[nodiscard]] std::string conditions_chain(const Owner& owner, Family family);
[[nodiscard]] bool is_conditions_chain(std::string_view chain);
void create_conditions(Transaction& transaction, const Layout& layout, const Owner& owner,
                       const Target& target);

/// The chain that stands for an open link, which the kernel does not delete while an owner needs
/// it; and the link of such a chain, "" of others.
[[nodiscard]] std::string open_chain(std::string_view link);
[[nodiscard]] std::string link_of_open_chain(std::string_view chain);

/// Chains, sets and rules that all owners share. Of those that exist (by name) only the rules are
/// made anew.
void create_shared(Transaction& transaction, const Layout& layout,
                   const std::set<std::string>& existing);
/// The names of our chains in the order in which they can be made.
[[nodiscard]] const std::vector<std::string>& shared_chains();

}  // namespace cni::portmap::nftables
