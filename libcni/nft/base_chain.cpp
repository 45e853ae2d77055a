// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/base_chain.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Socket;

TableFamily family_of(const nlmsghdr* header) {
  return static_cast<TableFamily>(static_cast<const nfgenmsg*>(nlmsg_data(header))->nfgen_family);
}

/// nullopt for a chain that is at no hook.
std::optional<BaseChain> read_base_chain(const nlmsghdr* header) {
  const Attributes chain(header, sizeof(nfgenmsg));
  if (chain.find(NFTA_CHAIN_HOOK) == nullptr) return std::nullopt;
  return BaseChain{.table = {family_of(header), chain.text(NFTA_CHAIN_TABLE)},
                   .name = chain.text(NFTA_CHAIN_NAME),
                   .type = chain.text(NFTA_CHAIN_TYPE),
                   .hook = chain.nested(NFTA_CHAIN_HOOK).be32(NFTA_HOOK_HOOKNUM),
                   .drops = chain.be32(NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP};
}

}  // namespace

std::vector<Table> list_tables(Socket& socket) {
  Message message = request(NFT_MSG_GETTABLE, TableFamily{}, "list nf_tables tables");
  std::vector<Table> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        const Attributes table(header, sizeof(nfgenmsg));
        out.push_back({family_of(header), table.text(NFTA_TABLE_NAME)});
      });
  return out;
}

std::vector<BaseChain> list_base_chains(Socket& socket) {
  Message message = request(NFT_MSG_GETCHAIN, TableFamily{}, "list nf_tables chains");
  std::vector<BaseChain> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const nlmsghdr* header) {
        if (auto chain = read_base_chain(header)) out.push_back(*std::move(chain));
      });
  return out;
}

std::optional<BaseChain> find_base_chain(Socket& socket, const Table& table,
                                         std::string_view name) {
  Message message = request(NFT_MSG_GETCHAIN, table.family, "look up nf_tables chain");
  message.put_text(NFTA_CHAIN_TABLE, table.name).put_text(NFTA_CHAIN_NAME, name);
  message.tolerate(ENOENT);
  socket.transact(message);
  if (message.replies().empty()) return std::nullopt;
  const void* const bytes = message.replies().front().data();
  return read_base_chain(static_cast<const nlmsghdr*>(bytes));
}

}  // namespace cni::nft
