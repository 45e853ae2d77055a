// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/socket.h"
#include "nftables_layout.h"

/// Elements of our sets, several sets at a time.
namespace cni::portmap::nftables {

using Entries = std::vector<Entry>;
using Names = std::set<std::string>;

/// Calls visit(set, elements) for each set that has any.
template <typename F>
void by_set(const Entries& entries, F&& visit) {
  std::vector<const Set*> done;
  for (const Entry& first : entries) {
    if (std::ranges::find(done, first.set) != done.end()) continue;
    done.push_back(first.set);
    std::vector<SetElement> elements;
    for (const Entry& entry : entries) {
      if (entry.set == first.set) elements.push_back(entry.element);
    }
    visit(*first.set, elements);
  }
}

[[nodiscard]] std::vector<Bytes> keys_of(const std::vector<SetElement>& elements);
void add_entries(Transaction& transaction, const Entries& entries);
/// Elements, and the chains of conditions that only they go to.
void delete_entries(Transaction& transaction, const Layout& layout, const Entries& entries);

/// What stands at the keys of these entries.
[[nodiscard]] Entries find_at(netlink::Socket& socket, const Entries& wanted);
[[nodiscard]] Entries list_all(netlink::Socket& socket, const Layout& layout);
template <typename F>
Entries chosen(Entries entries, F&& choose) {
  std::erase_if(entries, [&](const Entry& entry) { return !choose(entry.element); });
  return entries;
}

/// The element of `owners`.
[[nodiscard]] std::optional<SetElement> find_owner(netlink::Socket& socket, const Layout& layout,
                                                   std::string_view tag);
/// The link that is open for an owner, if any.
[[nodiscard]] std::string opened_in(netlink::Socket& socket, const Layout& layout,
                                    std::string_view tag);
/// All elements of an owner. `likely` is what they may be.
[[nodiscard]] Entries find_owned(netlink::Socket& socket, const Layout& layout, const Owner& owner,
                                 const Entries& likely);

/// What goes with these entries, which are gone.
[[nodiscard]] Removed removed_with(const Layout& layout, const Entries& gone);
[[nodiscard]] std::vector<IpAddress> containers_of(const Layout& layout, const Entries& entries);

/// Whose keys are ports of the host; whose keys have the container's address in them.
[[nodiscard]] bool is_of_ports(const Layout& layout, const Set* set);
[[nodiscard]] bool is_of_containers(const Layout& layout, const Set* set);
[[nodiscard]] bool same(const Entries& a, const Entries& b);
/// "tcp 8080", "udp 192.0.2.1:53"
[[nodiscard]] std::string port_text(const Entry& entry);
/// "net: web, if: eth0, id: c1": the part of a comment that is for people.
[[nodiscard]] std::string_view names_in(std::string_view comment);

// A port that somebody else has is waited for in a set of its own.

/// The entry of a port, or of the conditions on one, as one that waits; others as they are.
[[nodiscard]] Entry waiting(const Layout& layout, Entry entry);
/// What of these owners' ports others wait for goes to the first of them. `gone` are all elements
/// of owners that are being removed.
void promote(netlink::Socket& socket, Transaction& transaction, const Layout& layout,
             const Entries& gone);

}  // namespace cni::portmap::nftables
