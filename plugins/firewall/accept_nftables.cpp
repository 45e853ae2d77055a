// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "accept_nftables.h"

#include <linux/netfilter.h>

#include <algorithm>
#include <iterator>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "forward_filter.h"
#include "nft/ensure.h"
#include "nft/ledger.h"

namespace cni::firewall::nftables {
namespace {

using netlink::Socket;
using nft::change;
using nft::change_unless_busy;
using nft::Ledger;
using nft::NamedRule;
using nft::Rule;
using nft::SetElement;
using nft::StoredRule;
using nft::Table;
using nft::TableFamily;
using nft::Transaction;

constexpr std::string_view kForward = "FORWARD", kOurs = "CNI-FORWARD";
constexpr std::string_view kForwardComment = "CNI firewall plugin rules";
constexpr std::string_view kAdminComment = "CNI firewall plugin admin overrides";
constexpr std::string_view kChainPrefix = "accept-", kCommentPrefix = "cnipp ";
constexpr std::size_t kHashDigits = 14;
constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

const Table& our_table() {
  static const Table table{TableFamily::kInet, "cnipp"};
  return table;
}

const Ledger& ledger() {
  static const Ledger ledger(our_table(), "forward-accept");
  return ledger;
}

std::string comment_of(std::string_view selector) { return concat(kCommentPrefix, selector); }
std::string chain_of(std::string_view selector) { return concat(kChainPrefix, selector); }

bool jumps_to(const std::vector<StoredRule>& rules, std::string_view chain) {
  return std::ranges::any_of(rules, [&](const StoredRule& rule) { return rule.jump == chain; });
}

std::vector<Family> families_of(const Selector& selector) {
  std::vector<Family> out;
  for (const Family family : kFamilies) {
    if (std::ranges::any_of(selector.addresses,
                            [&](const IpAddress& a) { return a.family() == family; })) {
      out.push_back(family);
    }
  }
  return out;
}

using Connection = Rule::Connection;

void accept(Rule& rule) { rule.counter().verdict(NF_ACCEPT); }

std::vector<NamedRule> rules_for_link(const std::string& link, const std::string& comment) {
  std::vector<NamedRule> out;
  for (const Connection connection : {Connection::kKnown, Connection::kTranslated}) {
    out.push_back(
        {comment, [=](Rule& rule) {
           accept(rule.load_output_name().match_loaded_name(link).match_connection(connection));
         }});
  }
  out.push_back(
      {comment, [=](Rule& rule) { accept(rule.load_input_name().match_loaded_name(link)); }});
  return out;
}

std::vector<NamedRule> rules_of(const Selector& selector, Family family) {
  const std::string comment = comment_of(selector.name());
  if (!selector.link.empty()) return rules_for_link(selector.link, comment);
  std::vector<NamedRule> out;
  for (const IpAddress& address : selector.addresses) {
    if (address.family() != family) continue;
    for (const Connection connection : {Connection::kKnown, Connection::kTranslated}) {
      out.push_back({comment, [=](Rule& rule) {
                       accept(rule.match_bare_address(address, false).match_connection(connection));
                     }});
    }
    out.push_back({comment, [=](Rule& rule) { accept(rule.match_bare_address(address, true)); }});
  }
  return out;
}

/// The rules of CNI-FORWARD with the selector's comment.
std::vector<StoredRule> own_rules(const std::vector<StoredRule>& rules, std::string_view comment) {
  std::vector<StoredRule> out;
  std::ranges::copy_if(rules, std::back_inserter(out),
                       [&](const StoredRule& rule) { return rule.comment == comment; });
  return out;
}

void ensure_jump(Transaction& transaction, const Table& table, std::string_view from,
                 std::string_view to, std::string_view comment) {
  Rule::prepend(transaction, table.family, table.name, from, comment,
                [&](Rule& rule) { rule.counter().verdict(NFT_JUMP, to); });
}

void ensure_accepts(Socket& socket, Transaction& transaction, const Selector& selector,
                    Family family, std::string_view admin_chain) {
  const Table table = iptables_filter(family);
  for (const std::string_view chain : {kOurs, admin_chain}) {
    if (!has_chain(socket, table, chain)) ensure_chain(transaction, table, chain);
  }
  const std::vector<StoredRule> present = list_rules(socket, table, kOurs);
  if (!jumps_to(present, admin_chain)) {
    ensure_jump(transaction, table, kOurs, admin_chain, kAdminComment);
  }
  const auto old = own_rules(present, comment_of(selector.name()));
  const std::vector<NamedRule> wanted = rules_of(selector, family);
  if (old.size() != wanted.size()) {
    for (const StoredRule& rule : old) delete_rule(transaction, table, kOurs, rule.handle);
    add_rules(transaction, table, kOurs, wanted);
  }
  // Last: nothing is walked before it is complete.
  if (!jumps_to(list_rules(socket, table, kForward), kOurs)) {
    ensure_jump(transaction, table, kForward, kOurs, kForwardComment);
  }
}

/// The families of the selector for which iptables has a FORWARD chain.
std::vector<Family> filtered_families(Socket& socket, const Selector& selector) {
  std::vector<Family> out = families_of(selector);
  std::erase_if(
      out, [&](Family family) { return !has_chain(socket, iptables_filter(family), kForward); });
  return out;
}

/// By its policy.
bool drops(Socket& socket, Family family) {
  const auto chain = nft::find_base_chain(socket, iptables_filter(family), kForward);
  return chain && chain->drops;
}

void ensure_entry(Socket& socket, Transaction& transaction, const Owner& owner,
                  const Selector& selector) {
  const std::string chain = chain_of(selector.name());
  const auto entry = ledger().find(socket, owner);
  if (entry && entry->chain == chain) return;
  add_table(transaction, our_table());
  ensure_chain(transaction, our_table(), chain);
  ensure_set(transaction, ledger().map(), 1);
  ledger().put(socket, transaction, owner, chain, {});
}

/// Deletes the rules of a selector and its chain.
void delete_selector(Socket& socket, Transaction& transaction, const std::string& selector) {
  const std::string chain = chain_of(selector);
  if (!has_chain(socket, our_table(), chain)) return;
  for (const Family family : kFamilies) {
    const Table table = iptables_filter(family);
    for (const StoredRule& rule :
         own_rules(list_rules(socket, table, kOurs), comment_of(selector))) {
      delete_rule(transaction, table, kOurs, rule.handle);
    }
  }
  delete_chain(transaction, our_table(), chain);
}

void drop_unused(Socket& socket, const std::vector<std::string>& selectors) {
  for (const std::string& selector : selectors) {
    // The kernel knows whether an attachment refers to the chain.
    change_unless_busy(
        socket, "remove accepting rules that nobody needs",
        [&](Transaction& transaction) { delete_selector(socket, transaction, selector); });
  }
}

void remove_entries(Socket& socket, const std::function<std::vector<SetElement>()>& choose) {
  std::vector<std::string> selectors;
  change(socket, "remove entries of forward-accept", [&](Transaction& transaction) {
    selectors.clear();
    for (const SetElement& entry : choose()) {
      selectors.push_back(entry.chain.substr(kChainPrefix.size()));
      delete_element(transaction, ledger().map(), entry.key);
    }
  });
  std::ranges::sort(selectors);
  selectors.erase(std::unique(selectors.begin(), selectors.end()), selectors.end());
  drop_unused(socket, selectors);
}

[[noreturn]] void missing(Family family, std::string_view what) {
  throw Error(ErrorCode::kMismatch,
              concat(family == Family::kV4 ? "iptables" : "ip6tables", " filter: ", what));
}

void check_family(Socket& socket, const Selector& selector, Family family,
                  std::string_view admin_chain) {
  const Table table = iptables_filter(family);
  if (!jumps_to(list_rules(socket, table, kForward), kOurs)) {
    missing(family, concat("the jump from chain ", kForward, " to ", kOurs, " is missing"));
  }
  const std::vector<StoredRule> present = list_rules(socket, table, kOurs);
  if (!jumps_to(present, admin_chain)) {
    missing(family,
            concat("the jump from chain ", kOurs, " to ", quote(admin_chain), " is missing"));
  }
  const std::string comment = comment_of(selector.name());
  if (own_rules(present, comment).size() != rules_of(selector, family).size()) {
    missing(family, concat("rules ", quote(comment), " of chain ", kOurs, " are missing"));
  }
}

/// In one family, when only the jump to an empty admin chain is left in CNI-FORWARD.
void drop_shared_chains(Socket& socket, const Table& table, std::string_view admin_chain) {
  change_unless_busy(socket, concat("remove chain ", kOurs), [&](Transaction& transaction) {
    if (!has_chain(socket, table, kOurs)) return;
    const auto rules = list_rules(socket, table, kOurs);
    if (rules.size() > 1 || (rules.size() == 1 && rules.front().jump != admin_chain)) return;
    if (!list_rules(socket, table, admin_chain).empty()) return;
    for (const StoredRule& rule : list_rules(socket, table, kForward)) {
      if (rule.jump == kOurs) delete_rule(transaction, table, kForward, rule.handle);
    }
    delete_chain(transaction, table, kOurs);
    if (has_chain(socket, table, admin_chain)) delete_chain(transaction, table, admin_chain);
  });
}

}  // namespace

std::string Selector::name() const {
  if (!link.empty()) return link;
  std::string text;
  for (const IpAddress& address : addresses) text += concat(address.text(), " ");
  return concat("@", sha512_hex(text, kHashDigits));
}

void add(Socket& socket, const Owner& owner, const Selector& selector,
         std::string_view admin_chain) {
  std::string before;
  change(socket, "accept forwarded packets", [&](Transaction& transaction) {
    const std::vector<Family> families = filtered_families(socket, selector);
    if (families.empty()) return;
    const auto entry = ledger().find(socket, owner);
    before = entry ? entry->chain : std::string{};
    ensure_entry(socket, transaction, owner, selector);
    for (const Family family : families) {
      ensure_accepts(socket, transaction, selector, family, admin_chain);
    }
  });
  if (!before.empty() && before != chain_of(selector.name())) {
    drop_unused(socket, {before.substr(kChainPrefix.size())});
  }
}

bool has(Socket& socket, const Owner& owner) { return ledger().find(socket, owner).has_value(); }

void remove(Socket& socket, const Owner& owner) {
  remove_entries(socket, [&] {
    const auto entry = ledger().find(socket, owner);
    return entry ? std::vector{*entry} : std::vector<SetElement>{};
  });
}

void check(Socket& socket, const Owner& owner, const Selector& selector,
           std::string_view admin_chain) {
  std::vector<Family> families = filtered_families(socket, selector);
  const auto entry = ledger().find(socket, owner);
  // Where iptables' chain came after the attachment, accepting is its business only if it drops.
  if (!entry) std::erase_if(families, [&](Family family) { return !drops(socket, family); });
  for (const Family family : families) check_family(socket, selector, family, admin_chain);
  if (families.empty()) return;
  if (!entry || entry->chain != chain_of(selector.name())) {
    throw Error(ErrorCode::kMismatch,
                concat("the entry of this attachment in ", ledger().map().text(), " is missing"));
  }
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  remove_entries(socket, [&] {
    std::vector<SetElement> out = ledger().list(socket);
    std::erase_if(out, [&](const SetElement& entry) {
      return !entry.comment.starts_with(prefix) || keep(entry.tag());
    });
    return out;
  });
}

void remove_unused(Socket& socket, std::string_view admin_chain) {
  std::vector<std::string> selectors;
  for (const std::string& chain : list_chains(socket, our_table())) {
    if (chain.starts_with(kChainPrefix)) selectors.push_back(chain.substr(kChainPrefix.size()));
  }
  drop_unused(socket, selectors);
  for (const Family family : kFamilies) {
    drop_shared_chains(socket, iptables_filter(family), admin_chain);
  }
  remove_parts(
      socket, our_table(), [](std::string_view name) { return name == ledger().map().name; },
      [&] { return ledger().list(socket).empty(); });
}

}  // namespace cni::firewall::nftables
