// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <algorithm>
#include <optional>
#include <set>

#include "base/concat.h"
#include "base/error.h"
#include "nft/change.h"
#include "nft/difference.h"
#include "nft/ensure.h"
#include "nftables.h"
#include "nftables_entries.h"

namespace cni::portmap::nftables {
namespace {

using netlink::Socket;

[[noreturn]] void conflict(const Layout& layout, const Entry& entry) {
  const std::string what =
      is_of_ports(layout, entry.set)
          ? concat("host port ", port_text(entry), " is mapped by another container")
          : std::string("the container's address is that of another container");
  throw Error(ErrorCode::kConflict, what,
              concat("it belongs to ", names_in(entry.element.comment)));
}

/// Those of `entries` at whose places nothing of `others` will be.
Entries without(Entries entries, const Entries& others) {
  std::set<std::pair<const Set*, Bytes>> places;
  for (const Entry& entry : others) places.insert({entry.set, entry.element.key});
  std::erase_if(entries, [&](const Entry& entry) {
    return places.contains({entry.set, entry.element.key});
  });
  return entries;
}

/// What a refused ADD finds when it looks.
struct Survey {
  Names existing;         // chains and sets of ours
  bool intact = false;    // chains, sets and rules are as they should be
  Entries wanted;         // of which some may have to wait
  Entries obstacles;      // to be removed: of the owner, and of the dead
  Entries behind;         // ports of the pod that the owner replaces
  bool complete = false;  // everything stands already
};

void look_at_shared(Socket& socket, Survey& out) {
  const Layout& layout = our_layout();
  for (std::string& chain : list_chains(socket, layout.table)) out.existing.insert(chain);
  for (std::string& set : list_sets(socket, layout.table)) out.existing.insert(set);
  Transaction creation;
  create_shared(creation, layout, {});
  out.intact = !find_difference(socket, creation);
}

using Place = std::pair<const Set*, Bytes>;

/// Of a port; of the conditions on one the port's; nullopt of everything else.
std::optional<Place> port_of(const Layout& layout, const Entry& entry) {
  for (const FamilySets* sets : {&layout.v4, &layout.v6}) {
    if (entry.set == &sets->restricted) return Place{&sets->ports, entry.element.key};
    if (entry.set == &sets->bound_restricted) return Place{&sets->bound_ports, entry.element.key};
  }
  if (!is_of_ports(layout, entry.set)) return std::nullopt;
  return Place{entry.set, entry.element.key};
}

/// Those who have what is wanted, and the ports that the owner's own container has already.
struct Others {
  Names dead, replaced;
  std::set<Place> own;
};
Others sort(const Layout& layout, const Entries& found, const Owner& owner, const Judge& judge) {
  Others out;
  for (const Entry& entry : found) {
    const std::string tag(entry.element.tag());
    const bool port = is_of_ports(layout, entry.set);
    if (tag == owner.tag() || (!port && !is_of_containers(layout, entry.set))) continue;
    const Holder holder = judge(tag);
    if (holder == Holder::kDead || (holder == Holder::kReplaced && !port)) {
      out.dead.insert(tag);  // a pod's successor has its very address: nothing leads to the old one
    } else if (holder == Holder::kReplaced) {
      out.replaced.insert(tag);
    } else if (holder == Holder::kSelf && port) {
      out.own.insert({entry.set, entry.element.key});
    } else {
      conflict(layout, entry);
    }
  }
  return out;
}

Survey survey(Socket& socket, const Owner& owner, const Entries& wanted, const Judge& judge) {
  const Layout& layout = our_layout();
  Survey out;
  look_at_shared(socket, out);
  const Others others = sort(layout, find_at(socket, wanted), owner, judge);
  std::set<Place> ports;
  for (const Entry& entry : wanted) {
    const auto port = port_of(layout, entry);
    if (port) ports.insert(*port);
    out.wanted.push_back(port && others.own.contains(*port) ? waiting(layout, entry) : entry);
  }
  out.obstacles = find_owned(socket, layout, owner, out.wanted);
  out.complete = out.intact && others.dead.empty() && others.replaced.empty() &&
                 same(out.obstacles, out.wanted);
  if (others.dead.empty() && others.replaced.empty()) return out;
  for (Entry& entry : list_all(socket, layout)) {
    const std::string tag(entry.element.tag());
    const auto port = port_of(layout, entry);
    if (others.dead.contains(tag)) {
      out.obstacles.push_back(std::move(entry));
    } else if (others.replaced.contains(tag) && port && ports.contains(*port)) {
      out.behind.push_back(std::move(entry));
    }
  }
  return out;
}

/// The ports of the pod that the owner replaces come behind it.
void put_behind(Transaction& transaction, const Layout& layout, const Entries& entries) {
  by_set(entries, [&](const Set& set, const std::vector<SetElement>& elements) {
    delete_elements(transaction, set, keys_of(elements));
  });
  Entries behind;
  for (const Entry& entry : entries) behind.push_back(waiting(layout, entry));
  add_entries(transaction, behind);
}

}  // namespace

std::vector<std::string> add(Socket& socket, const Owner& owner, const Ports& ports,
                             const Judge& judge, bool& changed) {
  const Layout& layout = our_layout();
  const Entries wanted = entries_of(layout, owner, ports);
  const auto put = [&](Transaction& transaction, const Entries& entries) {
    for (const Target& target : ports.targets) {
      create_conditions(transaction, layout, owner, target);
    }
    // Not without a look: a chain that is changed lets the kernel wait for a grace period when the
    // socket is closed.
    if (!ports.opens.empty() && !nft::has_chain(socket, layout.table, open_chain(ports.opens))) {
      nft::ensure_chain(transaction, layout.table, open_chain(ports.opens));
    }
    add_entries(transaction, entries);
    changed = true;
  };
  Entries gone;
  const auto quick = [&](Transaction& transaction) { put(transaction, wanted); };
  nft::change(socket, "publish ports", quick, [&](Transaction& transaction) {
    changed = false;
    const Survey seen = survey(socket, owner, wanted, judge);
    gone = seen.obstacles;
    if (seen.complete) return;
    if (!seen.intact) create_shared(transaction, layout, seen.existing);
    delete_entries(transaction, layout, seen.obstacles);
    put_behind(transaction, layout, seen.behind);
    put(transaction, seen.wanted);
    promote(socket, transaction, layout, without(seen.obstacles, seen.wanted));
  });
  return removed_with(layout, gone).links;
}

void require_free(Socket& socket, const Owner& owner, const Ports& ports, const Judge& judge) {
  const Layout& layout = our_layout();
  Entries wanted = entries_of(layout, owner, ports);
  std::erase_if(wanted, [&](const Entry& entry) { return !is_of_ports(layout, entry.set); });
  static_cast<void>(sort(layout, find_at(socket, wanted), owner, judge));
}

}  // namespace cni::portmap::nftables
