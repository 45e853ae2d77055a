// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/forward_filter.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/concat.h"

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Socket;
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

TableFamily family_of(const nlmsghdr* header) {
  return static_cast<TableFamily>(static_cast<const nfgenmsg*>(nlmsg_data(header))->nfgen_family);
}

bool is_harmless(const Table& table) {
  // An inet table of one of iptables' names is an administrator's.
  if (table.family == TableFamily::kInet && table.name == kFilterTable) return false;
  return std::ranges::find(kHarmless, table.name) != kHarmless.end();
}

bool is_firewalld(const Table& table) { return table.name.starts_with("firewalld"); }

std::vector<Table> list_tables(Socket& socket) {
  Message message = request(NFT_MSG_GETTABLE, TableFamily{}, "list nf_tables tables");
  std::vector<Table> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        const Attributes table(header, sizeof(nfgenmsg));
        if (is_ip(family_of(header))) {
          out.push_back({family_of(header), table.text(NFTA_TABLE_NAME)});
        }
      });
  return out;
}

/// nullopt for a chain that is not at the hook.
std::optional<ForwardFilter> filter_of(const nlmsghdr* header) {
  const Attributes chain(header, sizeof(nfgenmsg));
  if (chain.find(NFTA_CHAIN_HOOK) == nullptr || chain.text(NFTA_CHAIN_TYPE) != "filter" ||
      chain.nested(NFTA_CHAIN_HOOK).be32(NFTA_HOOK_HOOKNUM) != NF_INET_FORWARD) {
    return std::nullopt;
  }
  ForwardFilter out;
  out.table = {family_of(header), chain.text(NFTA_CHAIN_TABLE)};
  out.chain = chain.text(NFTA_CHAIN_NAME);
  out.drops = chain.be32(NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP;
  if (is_firewalld(out.table)) out.kind = Kind::kFirewalld;
  return out;
}

std::vector<ForwardFilter> list_unknown(Socket& socket) {
  Message message = request(NFT_MSG_GETCHAIN, TableFamily{}, "list nf_tables chains");
  std::vector<ForwardFilter> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        if (!is_ip(family_of(header))) return;
        if (auto filter = filter_of(header); filter && !is_harmless(filter->table)) {
          out.push_back(*std::move(filter));
        }
      });
  return out;
}

std::optional<ForwardFilter> find_iptables(Socket& socket, const Table& table) {
  Message message = request(NFT_MSG_GETCHAIN, table.family, "look up iptables' FORWARD chain");
  message.put_text(NFTA_CHAIN_TABLE, table.name).put_text(NFTA_CHAIN_NAME, kIptablesChain);
  message.tolerate(ENOENT);
  socket.transact(message);
  if (message.replies().empty()) return std::nullopt;
  const void* const bytes = message.replies().front().data();
  auto out = filter_of(static_cast<const nlmsghdr*>(bytes));
  if (out) out->kind = Kind::kIptables;
  return out;
}

}  // namespace

std::string ForwardFilter::text() const {
  const std::string_view family = table.family == TableFamily::kIpv4   ? "ip"
                                  : table.family == TableFamily::kIpv6 ? "ip6"
                                                                       : "inet";
  return concat("table ", family, " ", table.name, ", chain ", chain);
}

Table iptables_filter(Family family) {
  return {family == Family::kV4 ? TableFamily::kIpv4 : TableFamily::kIpv6,
          std::string(kFilterTable)};
}

std::vector<ForwardFilter> list_forward_filters(Socket& socket) {
  const std::vector<Table> tables = list_tables(socket);
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

}  // namespace cni::nft
