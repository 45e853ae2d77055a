// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "masquerade/nftables_layout.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <charconv>

#include "base/concat.h"
#include "base/hash.h"
#include "nft/difference.h"

namespace cni::masquerade::nftables {
namespace {

using netlink::Socket;
using nft::Bytes;
using nft::NamedRule;
using nft::Rule;
using nft::Set;
using nft::SetElement;
using nft::Transaction;

constexpr std::string_view kPrefix = "masq-", kUsers = "-users";
constexpr std::string_view kPostrouting = "masq-postrouting", kForward = "masq-forward",
                           kInvalid = "masq-invalid";
constexpr std::size_t kHashDigits = 16;
constexpr std::size_t kMostAddressText = 60;  // of a comment's 127 bytes
constexpr nft::Hook kNatHook{"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC};
constexpr nft::Hook kFilterHook{"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER};
constexpr Family kFamilies[] = {Family::kV4, Family::kV6};
// ::ffff:0:0/96, and 100::/64, which is nobody's address (RFC 6666).
constexpr std::uint8_t kMapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::uint8_t kOwners[] = {1, 0, 0, 0, 0, 0, 0, 0};

bool begins_with(const Bytes& key, std::span<const std::uint8_t> prefix) {
  return key.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), key.begin());
}

NamedRule leave(const IpNet& net, std::string comment) {
  return {std::move(comment),
          [net](Rule& rule) { rule.match_destination(net).verdict(NFT_RETURN); }};
}

/// What is neither translated nor dropped; then `last`.
std::vector<NamedRule> rules_of(const Policy& policy, NamedRule last) {
  std::vector<NamedRule> out;
  for (const Family family : policy.families()) {
    out.push_back(
        leave(IpNet::parse(family == Family::kV4 ? "224.0.0.0/4" : "ff00::/8"), "multicast"));
  }
  for (const IpNet& net : policy.left) out.push_back(leave(net, concat("to ", net.text())));
  out.push_back(std::move(last));
  return out;
}

std::vector<NamedRule> translating_rules(const Policy& policy) {
  return rules_of(policy, {"everything else", [](Rule& rule) { rule.masquerade(); }});
}

std::vector<NamedRule> dropping_rules(const Policy& policy) {
  return rules_of(policy, {"everything else", [](Rule& rule) { rule.verdict(NF_DROP); }});
}

/// From the sources of a policy to this chain of it.
std::vector<NamedRule> dispatch_rules(const Policy& policy, const std::string& chain) {
  std::vector<NamedRule> out;
  for (const Family family : policy.families()) {
    const std::string set = policy.sources(family).name;
    out.push_back(
        {set, [=](Rule& rule) { rule.match_source_in_set(family, set).verdict(NFT_GOTO, chain); }});
  }
  return out;
}

std::vector<NamedRule> forward_rules() {
  return {{"invalid", [](Rule& rule) { rule.match_invalid().verdict(NFT_GOTO, kInvalid); }}};
}

/// Without rules.
void add_shared(Transaction& transaction) {
  ensure_hook(transaction);
  nft::ensure_base_chain(transaction, table(), kForward, kFilterHook);
  nft::ensure_chain(transaction, table(), kInvalid);
  nft::ensure_set(transaction, ledger(), 1);
}

/// Without rules.
void add_policy(Transaction& transaction, const Policy& policy) {
  for (const std::string& chain : {policy.name, policy.users(), policy.invalid()}) {
    nft::ensure_chain(transaction, table(), chain);
  }
  std::uint32_t id = 1;
  for (const Family family : policy.families()) {
    nft::ensure_set(transaction, policy.sources(family), ++id);
  }
}

void ensure_dispatch(Socket& socket, Transaction& transaction, std::string_view from,
                     const Policy& policy, const std::string& to) {
  const std::vector<NamedRule> rules = dispatch_rules(policy, to);
  Transaction wanted;
  nft::add_rules(wanted, table(), from, rules);
  if (!nft::find_difference(socket, wanted, nft::Others::kAllowed)) return;
  for (const nft::StoredRule& rule : nft::list_rules(socket, table(), from)) {
    if (std::ranges::find(rules, rule.comment, &NamedRule::comment) == rules.end()) continue;
    nft::delete_rule(transaction, table(), from, rule.handle);
  }
  nft::add_rules(transaction, table(), from, rules);
}

}  // namespace

std::string Policy::users() const { return concat(name, kUsers); }
std::string Policy::invalid() const { return concat(name, "-invalid"); }

Set Policy::sources(Family family) const {
  if (family == Family::kV4) return {table(), concat(name, "-ipv4"), nft::kIpv4Type, {}};
  return {table(), concat(name, "-ipv6"), nft::kIpv6Type, {}};
}

std::vector<Family> Policy::families() const {
  std::vector<Family> out;
  if (v4) out.push_back(Family::kV4);
  if (v6) out.push_back(Family::kV6);
  return out;
}

Policy Policy::of_users(std::string_view users) {
  if (users.ends_with(kUsers)) users.remove_suffix(kUsers.size());
  return {.name = std::string(users), .left = {}, .v4 = true, .v6 = true};
}

Policy policy_of(const std::vector<IpNet>& addresses, const std::vector<IpNet>& exclude) {
  Policy out;
  for (const IpNet& net : addresses) {
    (net.address.is_v4() ? out.v4 : out.v6) = true;
    out.left.push_back(net.network());
  }
  for (const IpNet& net : exclude) {
    if (net.address.is_v4() ? out.v4 : out.v6) out.left.push_back(net.network());
  }
  std::ranges::sort(out.left);
  out.left.erase(std::unique(out.left.begin(), out.left.end()), out.left.end());
  std::string text;
  for (const IpNet& net : out.left) text += concat(net.text(), " ");
  out.name = concat(kPrefix, sha512_hex(text, kHashDigits));
  return out;
}

const nft::Table& table() {
  static const nft::Table table{nft::TableFamily::kInet, "cnipp"};
  return table;
}

const Set& ledger() {
  static const Set ledger{table(), "masq-ledger", nft::kIpv6Type, nft::kVerdictType};
  return ledger;
}

Bytes owner_key(std::string_view tag) {
  Bytes key(std::begin(kOwners), std::end(kOwners));
  const std::string hash = sha512_hex(tag, kHashDigits);
  for (std::size_t i = 0; i < hash.size(); i += 2) {
    std::uint8_t byte = 0;
    std::from_chars(hash.data() + i, hash.data() + i + 2, byte, 16);
    key.push_back(byte);
  }
  return key;
}

Bytes address_key(const IpAddress& address) {
  Bytes key;
  if (address.is_v4()) key.assign(std::begin(kMapped), std::end(kMapped));
  key.insert(key.end(), address.bytes().begin(), address.bytes().end());
  return key;
}

Bytes source_key(const Bytes& ledger_key) {
  if (begins_with(ledger_key, kOwners)) return {};
  if (!begins_with(ledger_key, kMapped)) return ledger_key;
  return {ledger_key.begin() + std::size(kMapped), ledger_key.end()};
}

std::vector<SetElement> entries_of(const Owner& owner, const Policy& policy,
                                   const std::vector<IpNet>& addresses) {
  std::string text;
  for (const IpNet& net : addresses) text += concat(text.empty() ? "" : "+", net.address.text());
  if (text.size() > kMostAddressText) text = "*";
  std::vector<SetElement> out{{owner_key(owner.tag()),
                               {},
                               policy.users(),
                               owner.label(concat("a=", text), nft::kMaxComment)}};
  for (const IpNet& net : addresses) {
    out.push_back(
        {address_key(net.address), {}, policy.users(), owner.label({}, nft::kMaxComment)});
  }
  return out;
}

std::optional<std::vector<IpAddress>> addresses_in(const SetElement& own) {
  std::vector<IpAddress> out;
  for (std::string_view rest = nft::field_of(own.comment, "a="); !rest.empty();) {
    const auto end = rest.find('+');
    const auto address = IpAddress::try_parse(rest.substr(0, end));
    if (!address) return std::nullopt;
    out.push_back(*address);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

bool is_part(std::string_view name) { return name.starts_with(kPrefix); }

bool is_users_chain(std::string_view name) { return is_part(name) && name.ends_with(kUsers); }

void ensure_hook(Transaction& transaction) {
  nft::wake_table(transaction, table());
  nft::ensure_base_chain(transaction, table(), kPostrouting, kNatHook);
}

void ensure_hook_if_missing(Socket& socket, Transaction& transaction) {
  const auto chain = nft::find_base_chain(socket, table(), kPostrouting);
  if (chain && chain->type == kNatHook.type && chain->hook == kNatHook.number) {
    nft::wake_table(transaction, table());
  } else {
    ensure_hook(transaction);
  }
}

void ensure_shared(Socket& socket, Transaction& transaction) {
  add_shared(transaction);
  nft::ensure_rules(socket, transaction, table(), kForward, forward_rules());
}

void ensure_policy(Socket& socket, Transaction& transaction, const Policy& policy) {
  add_policy(transaction, policy);
  nft::ensure_rules(socket, transaction, table(), policy.name, translating_rules(policy));
  nft::ensure_rules(socket, transaction, table(), policy.invalid(), dropping_rules(policy));
  ensure_dispatch(socket, transaction, kPostrouting, policy, policy.name);
  ensure_dispatch(socket, transaction, kInvalid, policy, policy.invalid());
}

void delete_policy(Socket& socket, Transaction& transaction, const Policy& policy) {
  const auto is_own = [&](std::string_view name) {
    return name == policy.name || name.starts_with(concat(policy.name, "-"));
  };
  for (const std::string_view chain : {kPostrouting, kInvalid}) {
    for (const nft::StoredRule& rule : nft::list_rules(socket, table(), chain)) {
      if (is_own(rule.jump)) nft::delete_rule(transaction, table(), chain, rule.handle);
    }
  }
  for (const std::string& chain : nft::list_chains(socket, table())) {
    if (is_own(chain)) nft::delete_chain(transaction, table(), chain);
  }
  for (const std::string& set : nft::list_sets(socket, table())) {
    if (is_own(set)) nft::delete_set(transaction, {table(), set, {}, {}});
  }
}

std::optional<std::string> find_shared_difference(Socket& socket) {
  Transaction wanted;
  add_shared(wanted);
  nft::add_rules(wanted, table(), kForward, forward_rules());
  return nft::find_difference(socket, wanted);
}

std::optional<std::string> find_policy_difference(Socket& socket, const Policy& policy) {
  Transaction own;
  add_policy(own, policy);
  nft::add_rules(own, table(), policy.name, translating_rules(policy));
  nft::add_rules(own, table(), policy.invalid(), dropping_rules(policy));
  if (auto difference = nft::find_difference(socket, own)) return difference;
  Transaction among;
  nft::add_rules(among, table(), kPostrouting, dispatch_rules(policy, policy.name));
  nft::add_rules(among, table(), kInvalid, dispatch_rules(policy, policy.invalid()));
  return nft::find_difference(socket, among, nft::Others::kAllowed);
}

}  // namespace cni::masquerade::nftables
