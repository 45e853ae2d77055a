// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "masquerade/first_layout.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "nft/difference.h"
#include "nft/ensure.h"

namespace cni::masquerade::first_layout {
namespace {

using netlink::Socket;
using nft::Bytes;
using nft::Rule;
using nft::Set;
using nft::SetElement;
using nft::Transaction;

constexpr std::string_view kBaseChain = "postrouting", kMap4 = "masq4", kMap6 = "masq6";
constexpr std::size_t kHashDigits = 16;
constexpr nft::Hook kPostrouting{"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC};
constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

const nft::Table& table() {
  static const nft::Table table{nft::TableFamily::kInet, "cnipp"};
  return table;
}

Set map_of(Family family) {
  if (family == Family::kV4)
    return {table(), std::string(kMap4), nft::kIpv4Type, nft::kVerdictType};
  return {table(), std::string(kMap6), nft::kIpv6Type, nft::kVerdictType};
}

bool is_shared_chain(std::string_view name) {
  return name.starts_with("masq4-") || name.starts_with("masq6-");
}

bool is_part(std::string_view name) {
  return name == kBaseChain || name == kMap4 || name == kMap6 || is_shared_chain(name);
}

std::vector<IpNet> own_subnets(const std::vector<IpNet>& addresses, Family family) {
  std::vector<IpNet> out;
  for (const IpNet& net : addresses) {
    if (net.family() == family) out.push_back(net.network());
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string chain_of(Family family, const std::vector<IpNet>& own) {
  std::string text;
  for (const IpNet& net : own) text += concat(net.text(), " ");
  return concat(map_of(family).name, "-", sha512_hex(text, kHashDigits));
}

std::vector<nft::NamedRule> rules_of(Family family, const std::vector<IpNet>& own) {
  const auto leave = [](const IpNet& net, std::string comment) {
    return nft::NamedRule{std::move(comment),
                          [net](Rule& rule) { rule.match_destination(net).verdict(NFT_RETURN); }};
  };
  std::vector<nft::NamedRule> out{
      leave(IpNet::parse(family == Family::kV4 ? "224.0.0.0/4" : "ff00::/8"), "multicast")};
  for (const IpNet& net : own) out.push_back(leave(net, concat("own subnet ", net.text())));
  out.push_back({"everything else", [](Rule& rule) { rule.masquerade(); }});
  return out;
}

void create(Transaction& transaction, const std::vector<IpNet>& addresses) {
  nft::add_table(transaction, table());
  nft::add_base_chain(transaction, table(), kBaseChain, kPostrouting);
  std::uint32_t id = 0;
  for (const Family family : kFamilies) {
    const Set map = map_of(family);
    nft::add_set(transaction, map, ++id);
    nft::add_rules(transaction, table(), kBaseChain,
                   {{map.name, [&](Rule& rule) { rule.source_verdict_map(family, map.name); }}});
  }
  for (const Family family : kFamilies) {
    const std::vector<IpNet> own = own_subnets(addresses, family);
    if (own.empty()) continue;
    nft::add_chain(transaction, table(), chain_of(family, own));
    nft::add_rules(transaction, table(), chain_of(family, own), rules_of(family, own));
  }
}

std::vector<Found> list_all(Socket& socket) {
  std::vector<Found> out;
  for (const Family family : kFamilies) {
    const Set map = map_of(family);
    for (SetElement& element : nft::list_elements(socket, map)) {
      out.push_back({map, std::move(element)});
    }
  }
  return out;
}

/// Removes the chosen elements, the chains that only they go to, and all of it with the last.
void remove_chosen(Socket& socket, const std::function<bool(const SetElement&)>& chosen) {
  nft::change(socket, "remove masquerading of the first layout", [&](Transaction& transaction) {
    if (!nft::has_chain(socket, table(), kBaseChain)) return;
    std::set<std::string> used;
    bool any = false;
    for (const Found& found : list_all(socket)) {
      if (chosen(found.element)) {
        nft::delete_element(transaction, found.map, found.element.key);
        any = true;
      } else {
        used.insert(found.element.chain);
      }
    }
    if (used.empty()) {
      transaction = {};
      return nft::delete_parts(socket, transaction, table(), is_part);
    }
    if (!any) return;
    for (const std::string& chain : nft::list_chains(socket, table())) {
      if (is_shared_chain(chain) && !used.contains(chain)) {
        nft::delete_chain(transaction, table(), chain);
      }
    }
  });
}

}  // namespace

std::vector<Found> find(Socket& socket, const std::vector<IpNet>& addresses) {
  std::vector<Found> out;
  for (const IpNet& net : addresses) {
    const Set map = map_of(net.family());
    const auto bytes = net.address.bytes();
    auto element = nft::find_element(socket, map, {bytes.begin(), bytes.end()});
    if (element) out.push_back({map, *std::move(element)});
  }
  return out;
}

void delete_found(Socket& socket, Transaction& transaction, const std::vector<IpNet>& addresses) {
  for (const Found& found : find(socket, addresses)) {
    nft::delete_element(transaction, found.map, found.element.key);
  }
}

void remove(Socket& socket, const Owner& owner) {
  if (!nft::has_chain(socket, table(), kBaseChain)) return;
  remove_chosen(socket, [&](const SetElement& element) { return element.tag() == owner.tag(); });
}

bool holds(Socket& socket, const Owner& owner, const std::vector<IpNet>& addresses) {
  const std::vector<Found> found = find(socket, addresses);
  if (found.empty()) return false;
  const auto is_own = [&](const Found& f) {
    const std::vector<IpNet> own =
        own_subnets(addresses, f.map.name == kMap4 ? Family::kV4 : Family::kV6);
    const Family family = f.map.name == kMap4 ? Family::kV4 : Family::kV6;
    return f.element.tag() == owner.tag() && f.element.chain == chain_of(family, own);
  };
  if (found.size() != addresses.size() || !std::ranges::all_of(found, is_own)) return false;
  Transaction creation;
  create(creation, addresses);
  if (const auto difference = nft::find_difference(socket, creation)) {
    throw Error(ErrorCode::kMismatch, concat("masquerading: ", *difference));
  }
  return true;
}

void collect(Socket& socket, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  remove_chosen(socket, [&](const SetElement& element) {
    return element.comment.starts_with(prefix) && !keep(element.tag());
  });
}

}  // namespace cni::masquerade::first_layout
