// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nftables_entries.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/concat.h"
#include "nft/ledger.h"

namespace cni::portmap::nftables {
namespace {

using netlink::Socket;
using nft::owner_key;

// Beyond this many look-ups by key a dump of everything is quicker.
constexpr std::size_t kMaxLookups = 256;

using Place = std::pair<const Set*, Bytes>;

/// The sets in which an entry of a port stands, and waits.
struct Pair {
  const Set* active;
  const Set* waiting;
  bool bound;
};
std::vector<Pair> pairs_of(const FamilySets& sets) {
  return {{&sets.ports, &sets.waiting, false},
          {&sets.bound_ports, &sets.waiting, true},
          {&sets.restricted, &sets.waiting_restricted, false},
          {&sets.bound_restricted, &sets.waiting_restricted, true}};
}

/// What a waiting entry becomes: its key is the owner's, the host's address (or zeros) and a
/// service.
Entry active(const FamilySets& sets, Entry entry) {
  const std::size_t address = sets.family == Family::kV4 ? 4 : 16;
  const Bytes& key = entry.element.key;
  const auto begin = key.begin() + nft::kIfnameType.bytes;
  const auto service = begin + static_cast<std::ptrdiff_t>(address);
  const bool bound = std::any_of(begin, service, [](std::uint8_t byte) { return byte != 0; });
  for (const Pair& pair : pairs_of(sets)) {
    if (pair.waiting != entry.set || pair.bound != bound) continue;
    entry.set = pair.active;
    entry.element.key = Bytes(bound ? begin : service, key.end());
    return entry;
  }
  return entry;
}

}  // namespace

std::vector<Bytes> keys_of(const std::vector<SetElement>& elements) {
  std::vector<Bytes> keys;
  for (const SetElement& element : elements) keys.push_back(element.key);
  return keys;
}

void add_entries(Transaction& transaction, const Entries& entries) {
  by_set(entries, [&](const Set& set, const std::vector<SetElement>& elements) {
    add_elements(transaction, set, elements);
  });
}

void delete_entries(Transaction& transaction, const Layout& layout, const Entries& entries) {
  by_set(entries, [&](const Set& set, const std::vector<SetElement>& elements) {
    delete_elements(transaction, set, keys_of(elements));
  });
  Names chains;
  for (const Entry& entry : entries) {
    if (is_conditions_chain(entry.element.chain)) chains.insert(entry.element.chain);
  }
  for (const std::string& chain : chains) delete_chain(transaction, layout.table, chain);
}

Entries find_at(Socket& socket, const Entries& wanted) {
  Entries out;
  by_set(wanted, [&](const Set& set, const std::vector<SetElement>& elements) {
    for (SetElement& found : find_elements(socket, set, keys_of(elements))) {
      out.push_back({&set, std::move(found)});
    }
  });
  return out;
}

Entries list_all(Socket& socket, const Layout& layout) {
  Entries out;
  for (const Set* set : layout.sets()) {
    for (SetElement& element : list_elements(socket, *set)) {
      out.push_back({set, std::move(element)});
    }
  }
  return out;
}

std::optional<SetElement> find_owner(Socket& socket, const Layout& layout, std::string_view tag) {
  const std::vector<Bytes> keys{owner_key(tag)};
  auto found = find_elements(socket, layout.owners, keys);
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::string opened_in(Socket& socket, const Layout& layout, std::string_view tag) {
  const std::vector<Bytes> keys{owner_key(tag)};
  const auto found = find_elements(socket, layout.opened, keys);
  return found.empty() ? std::string{} : link_of_open_chain(found.front().chain);
}

Entries find_owned(Socket& socket, const Layout& layout, const Owner& owner,
                   const Entries& likely) {
  const auto marker = find_owner(socket, layout, owner.tag());
  if (!marker) return {};
  const auto is_own = [&](const SetElement& element) { return element.tag() == owner.tag(); };
  const std::size_t count = count_in(marker->comment);
  if (count <= kMaxLookups && count <= likely.size()) {
    Entries own = chosen(find_at(socket, likely), is_own);
    if (own.size() == count) return own;
  }
  return chosen(list_all(socket, layout), is_own);
}

std::vector<IpAddress> containers_of(const Layout& layout, const Entries& entries) {
  std::vector<IpAddress> out;
  for (const Entry& entry : entries) {
    for (const FamilySets* sets : {&layout.v4, &layout.v6}) {
      if (entry.set != &sets->targets) continue;
      out.push_back(IpAddress::from_bytes(sets->family, entry.element.key));
    }
  }
  return out;
}

Removed removed_with(const Layout& layout, const Entries& gone) {
  Names links;
  for (const Entry& entry : gone) {
    if (entry.set == &layout.opened) links.insert(link_of_open_chain(entry.element.chain));
  }
  return {containers_of(layout, gone), {links.begin(), links.end()}};
}

bool is_of_ports(const Layout& layout, const Set* set) {
  return set == &layout.v4.ports || set == &layout.v4.bound_ports || set == &layout.v6.ports ||
         set == &layout.v6.bound_ports;
}

bool is_of_containers(const Layout& layout, const Set* set) {
  return std::ranges::any_of(
      std::initializer_list<const FamilySets*>{&layout.v4, &layout.v6}, [&](const FamilySets* f) {
        return set == &f->targets || set == &f->hairpins || set == &f->siblings;
      });
}

std::string port_text(const Entry& entry) {
  const std::size_t address = entry.element.key.size() - 2 * sizeof(std::uint32_t);
  const auto service = std::span(entry.element.key).subspan(address);
  std::string host;
  if (address != 0) {
    const Family family = address == 4 ? Family::kV4 : Family::kV6;
    host = IpAddress::from_bytes(family, std::span(entry.element.key).first(address)).text();
    host = family == Family::kV4 ? concat(host, ":") : concat("[", host, "]:");
  }
  return concat(text(PortMapping::Protocol{service[0]}), " ", host, (service[4] << 8) | service[5]);
}

std::string_view names_in(std::string_view comment) {
  const auto at = comment.find("net: ");
  return at == comment.npos ? comment : comment.substr(at);
}

bool same(const Entries& a, const Entries& b) {
  const auto sorted = [](const Entries& entries) {
    std::vector<std::tuple<const Set*, Bytes, Bytes, std::string, std::string>> out;
    for (const auto& [set, e] : entries) {
      out.emplace_back(set, e.key, e.value, e.chain, e.comment);
    }
    std::ranges::sort(out);
    return out;
  };
  return sorted(a) == sorted(b);
}

Entry waiting(const Layout& layout, Entry entry) {
  for (const FamilySets* sets : {&layout.v4, &layout.v6}) {
    for (const Pair& pair : pairs_of(*sets)) {
      if (pair.active != entry.set) continue;
      Bytes key = owner_key(entry.element.tag());
      if (!pair.bound) key.resize(key.size() + (sets->family == Family::kV4 ? 4 : 16));
      key.insert(key.end(), entry.element.key.begin(), entry.element.key.end());
      return {pair.waiting,
              {key, entry.element.value, entry.element.chain, entry.element.comment,
               entry.element.verdict}};
    }
  }
  return entry;
}

void promote(Socket& socket, Transaction& transaction, const Layout& layout, const Entries& gone) {
  Names leaving;
  std::map<Place, bool> freed;  // whether somebody has taken it
  for (const Entry& entry : gone) {
    leaving.insert(std::string(entry.element.tag()));
    if (is_of_ports(layout, entry.set)) freed.try_emplace({entry.set, entry.element.key}, false);
  }
  if (freed.empty()) return;
  for (const FamilySets* sets : {&layout.v4, &layout.v6}) {
    const bool any = std::ranges::any_of(freed, [&](const auto& port) {
      return port.first.first == &sets->ports || port.first.first == &sets->bound_ports;
    });
    if (!any) continue;
    Entries from, to;
    const auto move = [&](const Set& set, auto&& wanted) {
      for (SetElement& element : list_elements(socket, set)) {
        const Entry old{&set, element};
        Entry now = active(*sets, old);
        if (leaving.contains(std::string(element.tag())) || !wanted(old, now)) continue;
        from.push_back(old);
        to.push_back(std::move(now));
      }
    };
    std::set<Bytes> chosen_keys;
    move(sets->waiting, [&](const Entry& old, const Entry& now) {
      const auto at = freed.find({now.set, now.element.key});
      if (at == freed.end() || at->second) return false;
      at->second = true;
      chosen_keys.insert(old.element.key);
      return true;
    });
    if (chosen_keys.empty()) continue;
    move(sets->waiting_restricted,
         [&](const Entry& old, const Entry&) { return chosen_keys.contains(old.element.key); });
    by_set(from, [&](const Set& set, const std::vector<SetElement>& elements) {
      delete_elements(transaction, set, keys_of(elements));
    });
    add_entries(transaction, to);
  }
}

}  // namespace cni::portmap::nftables
