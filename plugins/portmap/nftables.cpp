// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nftables.h"

#include <algorithm>
#include <map>

#include "base/concat.h"
#include "base/error.h"
#include "nft/change.h"
#include "nft/difference.h"
#include "nft/ensure.h"
#include "nftables_entries.h"

namespace cni::portmap::nftables {
namespace {

using netlink::Socket;
using nft::change;
using nft::find_difference;
using nft::rehearse;

/// Deletes what `choose` finds.
Entries delete_chosen(Socket& socket, const std::function<Entries()>& choose) {
  Entries gone;
  change(socket, "remove published ports", [&](Transaction& transaction) {
    gone = choose();
    delete_entries(transaction, our_layout(), gone);
    promote(socket, transaction, our_layout(), gone);
  });
  return gone;
}

}  // namespace

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

bool is_target(Socket& socket, const IpAddress& container) {
  const std::vector<Bytes> keys{Bytes(container.bytes().begin(), container.bytes().end())};
  return !find_elements(socket, our_layout().of(container.family()).targets, keys).empty();
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
  std::map<std::pair<const Set*, Bytes>, SetElement> found;
  const auto look = [&](const Entries& entries) {
    for (Entry& at : find_at(socket, entries)) {
      found[{at.set, at.element.key}] = std::move(at.element);
    }
  };
  look(wanted);
  // What another attachment of the container has, or the pod's successor, is waited for.
  Entries elsewhere;
  for (const Entry& entry : wanted) {
    const auto at = found.find({entry.set, entry.element.key});
    if (at == found.end() || at->second.tag() != owner.tag()) {
      elsewhere.push_back(waiting(layout, entry));
    }
  }
  look(elsewhere);
  for (const Entry& entry : wanted) {
    const Entry behind = waiting(layout, entry);
    const bool waits = found.contains({behind.set, behind.element.key});
    const Entry& expected = waits ? behind : entry;
    const auto at = found.find({expected.set, expected.element.key});
    const std::string place = concat(
        is_of_ports(layout, entry.set) ? concat("host port ", port_text(entry)) : "an element",
        " in ", expected.set->text());
    if (at == found.end()) differs(concat(place, " is missing"));
    const SetElement& actual = at->second;
    if (actual.tag() != owner.tag()) {
      differs(concat(place, " belongs to ", quote(names_in(actual.comment))));
    }
    if (actual.value != entry.element.value || actual.chain != entry.element.chain ||
        actual.verdict != entry.element.verdict) {
      differs(concat(place, " leads elsewhere"));
    }
  }
  const std::size_t count =
      count_in(found.at({wanted.front().set, wanted.front().element.key}).comment);
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
