// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "masquerade/nftables.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "masquerade/first_layout.h"
#include "masquerade/nftables_layout.h"

namespace cni::masquerade::nftables {
namespace {

using netlink::Socket;
using nft::Bytes;
using nft::Set;
using nft::SetElement;
using nft::Transaction;

using Entries = std::vector<SetElement>;

/// "net: web, if: eth0, id: c1": the part of a label that is for people.
std::string names_in(std::string_view label) {
  const auto at = label.find("net: ");
  return std::string(at == label.npos ? label : label.substr(at));
}

std::vector<Bytes> sources_in(const Entries& entries, Family family) {
  std::vector<Bytes> out;
  for (const SetElement& entry : entries) {
    Bytes key = source_key(entry.key);
    if (key.size() == (family == Family::kV4 ? 4U : 16U)) out.push_back(std::move(key));
  }
  return out;
}

void add_entries(Transaction& transaction, const Policy& policy, const Entries& entries) {
  nft::add_elements(transaction, ledger(), entries);
  for (const Family family : policy.families()) {
    std::vector<SetElement> sources;
    for (Bytes& key : sources_in(entries, family)) sources.push_back({std::move(key), {}, {}, {}});
    nft::add_elements(transaction, policy.sources(family), sources);
  }
}

enum class Trust : unsigned char { kAll, kNone };

/// Entries of the ledger and what they stand for. With kNone it is asked what of that is there:
/// somebody may have taken a part away.
void delete_entries(Socket& socket, Transaction& transaction, const Entries& entries, Trust trust) {
  std::map<std::string, Entries> by_users;
  std::vector<Bytes> keys;
  for (const SetElement& entry : entries) {
    by_users[entry.chain].push_back(entry);
    keys.push_back(entry.key);
  }
  nft::delete_elements(transaction, ledger(), keys);
  for (const auto& [users, part] : by_users) {
    for (const Family family : {Family::kV4, Family::kV6}) {
      const Set set = Policy::of_users(users).sources(family);
      std::vector<Bytes> sources = sources_in(part, family);
      if (trust == Trust::kNone && !sources.empty()) {
        const Entries there = nft::find_elements(socket, set, sources);
        sources.clear();
        for (const SetElement& element : there) sources.push_back(element.key);
      }
      nft::delete_elements(transaction, set, sources);
    }
  }
}

/// Deletes policies whose last users go with these entries, all of it when no policy is left.
/// `kept` stays.
void delete_unused(Socket& socket, Transaction& transaction, const Entries& entries,
                   std::string_view kept) {
  std::map<std::string, std::uint32_t> leaving;
  for (const SetElement& entry : entries) ++leaving[entry.chain];
  std::set<std::string> unused;
  for (const auto& [users, count] : leaving) {
    const auto all = nft::find_chain_use(socket, table(), users);
    if (all == count && users != kept) unused.insert(users);
  }
  if (unused.empty()) return;
  const bool others = std::ranges::any_of(
      nft::list_chains(socket, table()),
      [&](const std::string& chain) { return is_users_chain(chain) && !unused.contains(chain); });
  if (!others && kept.empty()) {
    transaction = {};
    return nft::delete_parts(socket, transaction, table(), is_part);
  }
  for (const std::string& users : unused) {
    delete_policy(socket, transaction, Policy::of_users(users));
  }
}

/// What the ledger says the owner has.
Entries find_owned(Socket& socket, std::string_view tag, Trust trust) {
  const auto own = nft::find_element(socket, ledger(), owner_key(tag));
  if (!own || own->tag() != tag) return {};
  const auto addresses = addresses_in(*own);
  Entries out;
  if (addresses && trust == Trust::kAll) {
    out.push_back(*own);
    for (const IpAddress& address : *addresses) {
      out.push_back({address_key(address), {}, own->chain, {}});
    }
    return out;
  }
  out = nft::list_elements(socket, ledger());
  std::erase_if(out, [&](const SetElement& entry) { return entry.tag() != tag; });
  return out;
}

/// What stands in the way of these entries: of the owner itself, and of those who are gone.
Entries find_obstacles(Socket& socket, const Owner& owner, const Wanted& wanted,
                       const Lives& lives) {
  std::vector<Bytes> keys{owner_key(owner.tag())};
  for (const IpNet& net : wanted.addresses) keys.push_back(address_key(net.address));
  Entries found = nft::find_elements(socket, ledger(), keys);
  const auto earlier = first_layout::find(socket, wanted.addresses);
  for (const first_layout::Found& other : earlier) found.push_back(other.element);
  std::set<std::string, std::less<>> gone;
  for (const SetElement& entry : found) {
    if (entry.tag() == owner.tag()) {
      gone.emplace(entry.tag());
    } else if (lives(entry.tag())) {
      throw Error(ErrorCode::kConflict, "the address is masqueraded for another container",
                  concat("it belongs to ", names_in(entry.comment), ", which exists; refused to ",
                         names_in(owner.label({}, nft::kMaxComment))));
    } else if (gone.emplace(entry.tag()).second) {
      log::warn(concat("masquerading of ", names_in(entry.comment), ", which is gone: replaced"));
    }
  }
  if (gone.empty()) return {};
  Entries out = nft::list_elements(socket, ledger());
  std::erase_if(out, [&](const SetElement& entry) { return !gone.contains(entry.tag()); });
  return out;
}

[[noreturn]] void differs(std::string_view what) {
  throw Error(ErrorCode::kMismatch, concat("masquerading: ", what));
}

}  // namespace

void add(Socket& socket, const Owner& owner, const Wanted& wanted, const Lives& lives) {
  if (wanted.addresses.empty()) return;
  const Policy policy = policy_of(wanted.addresses, wanted.exclude);
  const Entries entries = entries_of(owner, policy, wanted.addresses);
  const auto quick = [&](Transaction& transaction) {
    ensure_hook_if_missing(socket, transaction);
    add_entries(transaction, policy, entries);
  };
  nft::change(socket, "add masquerading", quick, [&](Transaction& transaction) {
    const Entries obstacles = find_obstacles(socket, owner, wanted, lives);
    ensure_shared(socket, transaction);
    ensure_policy(socket, transaction, policy);
    delete_entries(socket, transaction, obstacles, Trust::kNone);
    delete_unused(socket, transaction, obstacles, policy.users());
    first_layout::delete_found(socket, transaction, wanted.addresses);
    add_entries(transaction, policy, entries);
  });
}

void remove(Socket& socket, const Owner& owner) {
  const auto remove = [&](Trust trust) {
    nft::change(socket, "remove masquerading", [&](Transaction& transaction) {
      const Entries own = find_owned(socket, owner.tag(), trust);
      if (own.empty()) return;
      delete_entries(socket, transaction, own, trust);
      delete_unused(socket, transaction, own, {});
    });
  };
  try {
    remove(Trust::kAll);
  } catch (const KernelError& error) {
    if (!error.is(std::errc::no_such_file_or_directory)) throw;
    remove(Trust::kNone);
  }
}

void check(Socket& socket, const Owner& owner, const Wanted& wanted) {
  if (wanted.addresses.empty()) return;
  const Policy policy = policy_of(wanted.addresses, wanted.exclude);
  if (const auto difference = find_shared_difference(socket)) differs(*difference);
  const Entries entries = entries_of(owner, policy, wanted.addresses);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string place =
        concat(i == 0 ? "the attachment" : wanted.addresses[i - 1].address.text(), " in ",
               ledger().text());
    const auto found = nft::find_element(socket, ledger(), entries[i].key);
    if (!found) differs(concat(place, " is missing"));
    if (found->tag() != owner.tag()) {
      differs(concat(place, " belongs to ", quote(found->comment)));
    }
    if (found->chain != entries[i].chain) {
      differs(concat(place, " goes to chain ", quote(found->chain), " instead of ",
                     quote(entries[i].chain)));
    }
  }
  if (const auto difference = find_policy_difference(socket, policy)) differs(*difference);
  for (const IpNet& net : wanted.addresses) {
    const Set set = policy.sources(net.family());
    if (nft::find_element(socket, set, source_key(address_key(net.address)))) continue;
    differs(concat(net.address.text(), " in ", set.text(), " is missing"));
  }
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  nft::change(socket, "collect masquerading", [&](Transaction& transaction) {
    if (!nft::has_table(socket, table())) return;
    Entries dead = nft::list_elements(socket, ledger());
    const std::size_t all = dead.size();
    std::erase_if(dead, [&](const SetElement& entry) {
      return !entry.comment.starts_with(prefix) || keep(entry.tag());
    });
    if (dead.size() == all) return nft::delete_parts(socket, transaction, table(), is_part);
    if (dead.empty()) return;
    delete_entries(socket, transaction, dead, Trust::kNone);
    delete_unused(socket, transaction, dead, {});
  });
}

void probe(Socket& socket) {
  if (!find_shared_difference(socket)) return;
  const Policy policy =
      policy_of({IpNet::parse("192.0.2.1/24"), IpNet::parse("2001:db8::1/64")}, {});
  Transaction transaction;
  ensure_shared(socket, transaction);
  ensure_policy(socket, transaction, policy);
  nft::rehearse(socket, std::move(transaction));
}

}  // namespace cni::masquerade::nftables
