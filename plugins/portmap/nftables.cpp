// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nftables.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "nft/difference.h"
#include "nft/ensure.h"
#include "nft/ledger.h"
#include "nftables_layout.h"

namespace cni::portmap::nftables {
namespace {

using netlink::Socket;
using nft::change;
using nft::find_difference;
using nft::owner_key;
using nft::rehearse;

// Beyond this many look-ups by key a dump of everything is quicker.
constexpr std::size_t kMaxLookups = 256;

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

std::vector<Bytes> keys_of(const std::vector<SetElement>& elements) {
  std::vector<Bytes> keys;
  for (const SetElement& element : elements) keys.push_back(element.key);
  return keys;
}

/// What stands at the keys of these entries.
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

template <typename F>
Entries chosen(Entries entries, F&& choose) {
  std::erase_if(entries, [&](const Entry& entry) { return !choose(entry.element); });
  return entries;
}

std::optional<SetElement> find_owner(Socket& socket, const Layout& layout, std::string_view tag) {
  const std::vector<Bytes> keys{owner_key(tag)};
  auto found = find_elements(socket, layout.owners, keys);
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

/// The link that is open for an owner, if any.
std::string opened_in(Socket& socket, const Layout& layout, std::string_view tag) {
  const std::vector<Bytes> keys{owner_key(tag)};
  const auto found = find_elements(socket, layout.opened, keys);
  return found.empty() ? std::string{} : link_of_open_chain(found.front().chain);
}

/// All elements of an owner. `likely` is what they may be.
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

/// Elements, and the chains of conditions that only they go to.
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

/// What goes with these entries, which are gone.
Removed removed_with(const Layout& layout, const Entries& gone) {
  Names links;
  for (const Entry& entry : gone) {
    if (entry.set == &layout.opened) links.insert(link_of_open_chain(entry.element.chain));
  }
  return {containers_of(layout, gone), {links.begin(), links.end()}};
}

/// Deletes what `choose` finds.
Entries delete_chosen(Socket& socket, const std::function<Entries()>& choose) {
  Entries gone;
  change(socket, "remove published ports", [&](Transaction& transaction) {
    gone = choose();
    delete_entries(transaction, our_layout(), gone);
  });
  return gone;
}

bool is_of_ports(const Layout& layout, const Set* set) {
  return set == &layout.v4.ports || set == &layout.v4.bound_ports || set == &layout.v6.ports ||
         set == &layout.v6.bound_ports;
}

/// Whose keys have the container's address in them.
bool is_of_containers(const Layout& layout, const Set* set) {
  return std::ranges::any_of(
      std::initializer_list<const FamilySets*>{&layout.v4, &layout.v6}, [&](const FamilySets* f) {
        return set == &f->targets || set == &f->hairpins || set == &f->siblings;
      });
}

/// "tcp 8080", "udp 192.0.2.1:53"
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

/// "net: web, if: eth0, id: c1": the part of a comment that is for people.
std::string_view names_in(std::string_view comment) {
  const auto at = comment.find("net: ");
  return at == comment.npos ? comment : comment.substr(at);
}

bool is_value_for(const SetElement& element, const std::vector<IpAddress>& containers) {
  return std::ranges::any_of(containers, [&](const IpAddress& address) {
    const auto bytes = address.bytes();
    return element.value.size() == bytes.size() + sizeof(std::uint32_t) &&
           std::equal(bytes.begin(), bytes.end(), element.value.begin());
  });
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

/// Those who have what the wanted entries need, and are gone: their container address is ours now.
Names find_dead_owners(const Layout& layout, const Entries& found, const Owner& owner,
                       const std::vector<IpAddress>& containers) {
  Names dead;
  for (const Entry& entry : found) {
    if (entry.element.tag() == owner.tag()) continue;
    const bool ours = is_of_ports(layout, entry.set) ? is_value_for(entry.element, containers)
                                                     : is_of_containers(layout, entry.set);
    if (!ours) continue;
    if (dead.insert(std::string(entry.element.tag())).second) {
      log::warn(concat("the container address belonged to ", quote(names_in(entry.element.comment)),
                       ": its ports are unmapped"));
    }
  }
  return dead;
}

void require_free(const Layout& layout, const Entries& found, const Owner& owner,
                  const Names& dead) {
  for (const Entry& entry : found) {
    const std::string tag(entry.element.tag());
    if (!is_of_ports(layout, entry.set) || tag == owner.tag() || dead.contains(tag)) continue;
    throw Error(ErrorCode::kConflict,
                concat("host port ", port_text(entry), " is mapped by another container"),
                concat("it belongs to ", names_in(entry.element.comment)));
  }
}

/// What a refused ADD finds when it looks.
struct Survey {
  Names existing;       // chains and sets of ours
  bool intact = false;  // chains, sets and rules are as they should be
  Entries obstacles;
  bool complete = false;  // everything stands already
};

Survey survey(Socket& socket, const Owner& owner, const Entries& wanted) {
  const Layout& layout = our_layout();
  Survey out;
  for (std::string& chain : list_chains(socket, layout.table)) out.existing.insert(chain);
  for (std::string& set : list_sets(socket, layout.table)) out.existing.insert(set);
  Transaction creation;
  create_shared(creation, layout, {});
  out.intact = !find_difference(socket, creation);

  const Entries found = find_at(socket, wanted);
  const std::vector<IpAddress> containers = containers_of(layout, wanted);
  const Names dead = find_dead_owners(layout, found, owner, containers);
  require_free(layout, found, owner, dead);
  out.obstacles = find_owned(socket, layout, owner, wanted);
  out.complete = out.intact && dead.empty() && same(out.obstacles, wanted);
  if (dead.empty()) return out;
  for (Entry& entry : list_all(socket, layout)) {
    if (dead.contains(std::string(entry.element.tag()))) out.obstacles.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

std::vector<std::string> add(Socket& socket, const Owner& owner, const Ports& ports,
                             bool& changed) {
  const Layout& layout = our_layout();
  const Entries wanted = entries_of(layout, owner, ports);
  const auto fill = [&](Transaction& transaction) {
    for (const Target& target : ports.targets) {
      create_conditions(transaction, layout, owner, target);
    }
    if (!ports.opens.empty()) {
      nft::ensure_chain(transaction, layout.table, open_chain(ports.opens));
    }
    by_set(wanted, [&](const Set& set, const std::vector<SetElement>& elements) {
      add_elements(transaction, set, elements);
    });
    changed = true;
  };
  Entries gone;
  change(socket, "publish ports", fill, [&](Transaction& transaction) {
    changed = false;
    const Survey seen = survey(socket, owner, wanted);
    gone = seen.obstacles;
    if (seen.complete) return;
    if (!seen.intact) create_shared(transaction, layout, seen.existing);
    delete_entries(transaction, layout, seen.obstacles);
    fill(transaction);
  });
  return removed_with(layout, gone).links;
}

Removed remove(Socket& socket, const Owner& owner, const Ports& likely) {
  const Layout& layout = our_layout();
  const auto marker = find_owner(socket, layout, owner.tag());
  if (!marker) return {};
  Ports complete = likely;
  complete.opens = opened_in(socket, layout, owner.tag());
  for (Target& target : complete.targets) {
    target.via = via_in(marker->comment, target.container.family());
  }
  const Entries expected = entries_of(layout, owner, complete);
  const Entries gone =
      delete_chosen(socket, [&] { return find_owned(socket, layout, owner, expected); });
  return removed_with(layout, gone);
}

bool release(Socket& socket, std::string_view link) {
  const std::string chain = open_chain(link);
  return nft::change_unless_busy(socket, "close a link", [&](Transaction& transaction) {
    if (has_chain(socket, our_layout().table, chain)) {
      delete_chain(transaction, our_layout().table, chain);
    }
  });
}

bool needs_open(Socket& socket, std::string_view link) {
  return has_chain(socket, our_layout().table, open_chain(link));
}

Removed collect(Socket& socket, std::string_view network,
                const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  const Entries gone = delete_chosen(socket, [&] {
    return chosen(list_all(socket, our_layout()), [&](const SetElement& element) {
      return element.comment.starts_with(prefix) && !keep(element.tag());
    });
  });
  return removed_with(our_layout(), gone);
}

bool has(Socket& socket, const Owner& owner) {
  return find_owner(socket, our_layout(), owner.tag()).has_value();
}

void require_free(Socket& socket, const Owner& owner, const Ports& ports) {
  const Layout& layout = our_layout();
  const Entries wanted = entries_of(layout, owner, ports);
  const std::vector<IpAddress> containers = containers_of(layout, wanted);
  Entries found = find_at(socket, wanted);
  // What leads to the address that is ours now belongs to nobody who lives.
  std::erase_if(found, [&](const Entry& entry) {
    return is_of_ports(layout, entry.set) && is_value_for(entry.element, containers);
  });
  require_free(layout, found, owner, {});
}

bool is_bound_by_another(Socket& socket, const Owner& owner, const IpAddress& host,
                         const PortMapping& mapping) {
  const std::vector<Bytes> keys{port_key(host, mapping)};
  const auto found = find_elements(socket, our_layout().of(host.family()).bound_ports, keys);
  return !found.empty() && found.front().tag() != owner.tag();
}

void check(Socket& socket, const Owner& owner, const Ports& ports) {
  const auto differs = [](std::string_view what) {
    throw Error(ErrorCode::kMismatch, concat("published ports: ", what));
  };
  const Layout& layout = our_layout();
  Transaction creation;
  create_shared(creation, layout, {});
  if (const auto difference = find_difference(socket, creation)) differs(*difference);
  const Entries wanted = entries_of(layout, owner, ports);
  const Entries found = find_at(socket, wanted);
  for (const Entry& entry : wanted) {
    const auto at = std::ranges::find_if(found, [&](const Entry& other) {
      return other.set == entry.set && other.element.key == entry.element.key;
    });
    const std::string place = concat(
        is_of_ports(layout, entry.set) ? concat("host port ", port_text(entry)) : "an element",
        " in nf_tables set ", layout.table.name, " ", entry.set->name);
    if (at == found.end()) differs(concat(place, " is missing"));
    const SetElement& actual = at->element;
    if (actual.tag() != owner.tag()) {
      differs(concat(place, " belongs to ", quote(names_in(actual.comment))));
    }
    if (actual.value != entry.element.value || actual.chain != entry.element.chain ||
        actual.verdict != entry.element.verdict) {
      differs(concat(place, " leads elsewhere"));
    }
  }
  const std::size_t count = count_in(found.front().element.comment);
  if (count != wanted.size()) {
    differs(concat("the container has ", count, " nf_tables elements instead of ", wanted.size()));
  }
  Transaction conditions;
  for (const Target& target : ports.targets) {
    create_conditions(conditions, layout, owner, target);
  }
  if (const auto difference = find_difference(socket, conditions)) differs(*difference);
}

void remove_unused(Socket& socket) {
  const Layout& layout = our_layout();
  const auto is_part = [&](std::string_view name) {
    return std::ranges::find(shared_chains(), name) != shared_chains().end() ||
           is_conditions_chain(name) || !link_of_open_chain(name).empty() ||
           std::ranges::any_of(layout.sets(), [&](const Set* set) { return set->name == name; });
  };
  remove_parts(socket, layout.table, is_part, [&] {
    return std::ranges::any_of(list_chains(socket, layout.table), is_part) &&
           list_all(socket, layout).empty();
  });
}

void probe(Socket& socket) {
  const Layout layout("cnipp-probe");
  Transaction transaction;
  create_shared(transaction, layout, {});
  const PortMapping mapping{.host_port = 1, .container_port = 1, .host_ip = {}};
  const Ports ports{
      {{.container = IpAddress::parse("192.0.2.1"), .mappings = {mapping}, .via = "probe"},
       {.container = IpAddress::parse("2001:db8::1"), .mappings = {mapping}, .via = "probe"}}};
  by_set(entries_of(layout, Owner("probe", "probe", "probe"), ports),
         [&](const Set& set, const std::vector<SetElement>& elements) {
           add_elements(transaction, set, elements);
         });
  rehearse(socket, std::move(transaction));
}

}  // namespace cni::portmap::nftables
