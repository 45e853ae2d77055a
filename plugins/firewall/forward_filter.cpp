// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "forward_filter.h"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <string_view>

#include "base/concat.h"
#include "nft/table.h"

namespace cni::firewall {
namespace {

using netlink::Socket;
using nft::BaseChain;
using nft::list_base_chains;
using nft::list_tables;
using nft::Table;
using nft::TableFamily;
using Kind = ForwardFilter::Kind;

constexpr std::string_view kFilterTable = "filter", kIptablesChain = "FORWARD";
/// Tables without anything at the hook, or with nothing that drops by its policy: ours, those of
/// iptables-nft but the one that is asked for by name, the reference's.
constexpr std::array<std::string_view, 8> kHarmless = {
    "cnipp", "filter",   "nat",          "mangle",
    "raw",   "security", "cni_hostport", "cni_plugins_masquerade"};

bool is_iptables_family(TableFamily family) {
  return family == TableFamily::kIpv4 || family == TableFamily::kIpv6;
}

bool is_ip(TableFamily family) {
  return is_iptables_family(family) || family == TableFamily::kInet;
}

bool is_harmless(const Table& table) {
  // An inet table of one of iptables' names is an administrator's.
  if (table.family == TableFamily::kInet && table.name == kFilterTable) return false;
  return std::ranges::find(kHarmless, table.name) != kHarmless.end();
}

bool is_firewalld(const Table& table) { return table.name.starts_with("firewalld"); }

/// nullopt for a chain that does not filter what is forwarded.
std::optional<ForwardFilter> filter_of(const BaseChain& chain, Kind kind) {
  if (chain.type != "filter" || chain.hook != NF_INET_FORWARD) return std::nullopt;
  return ForwardFilter{
      .kind = kind, .table = chain.table, .chain = chain.name, .drops = chain.drops};
}

std::vector<ForwardFilter> list_unknown(Socket& socket) {
  std::vector<ForwardFilter> out;
  for (const BaseChain& chain : list_base_chains(socket)) {
    if (!is_ip(chain.table.family) || is_harmless(chain.table)) continue;
    const Kind kind = is_firewalld(chain.table) ? Kind::kFirewalld : Kind::kForeign;
    if (auto filter = filter_of(chain, kind)) out.push_back(*std::move(filter));
  }
  return out;
}

std::optional<ForwardFilter> find_iptables(Socket& socket, const Table& table) {
  const auto chain = find_base_chain(socket, table, kIptablesChain);
  return chain ? filter_of(*chain, Kind::kIptables) : std::nullopt;
}

}  // namespace

std::string ForwardFilter::text() const {
  return concat("table ", table.text(), ", chain ", chain);
}

Table iptables_filter(Family family) {
  return {family == Family::kV4 ? TableFamily::kIpv4 : TableFamily::kIpv6,
          std::string(kFilterTable)};
}

std::vector<ForwardFilter> list_forward_filters(Socket& socket) {
  std::vector<Table> tables = list_tables(socket);
  std::erase_if(tables, [](const Table& table) { return !is_ip(table.family); });
  std::vector<ForwardFilter> out;
  for (const Table& table : tables) {
    if (!is_iptables_family(table.family) || table.name != kFilterTable) continue;
    if (auto filter = find_iptables(socket, table)) out.push_back(*std::move(filter));
  }
  // Of a node with thousands of services all chains would have to be read.
  if (!std::ranges::all_of(tables, is_harmless)) {
    std::ranges::move(list_unknown(socket), std::back_inserter(out));
  }
  return out;
}

}  // namespace cni::firewall
