// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What the kernel makes of a transaction, and what a refusal says.
#include "nft/transaction.h"

#include <linux/netfilter/nf_tables.h>

#include "base/concat.h"
#include "netlink/address.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/host.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::netlink::Socket;
namespace nft = cni::nft;

namespace {

constexpr int kMany = 3000;  // more than the parts of one sendmsg

void add_chain(nft::Transaction& transaction, std::string_view name) {
  transaction.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, nft::TableFamily::kInet, "add a chain")
      .put_text(NFTA_CHAIN_TABLE, "t")
      .put_text(NFTA_CHAIN_NAME, name);
}

int occurrences(std::string_view text, std::string_view part) {
  int count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

int count_chains() { return occurrences(tool("nft list chains"), "chain "); }

}  // namespace

TEST_CASE("transaction: thousands of commands are one change", "[nft]") {
  const TestHost host;
  tool("nft add table inet t");
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  nft::Transaction transaction;
  for (int i = 0; i < kMany; ++i) add_chain(transaction, concat("c", i));
  CHECK(transaction.try_commit(socket) == 0);
  CHECK(count_chains() == kMany);

  SECTION("one of them is refused: nothing was changed") {
    nft::Transaction refused;
    for (int i = 0; i < kMany; ++i) add_chain(refused, concat("d", i));
    refused.add(NFT_MSG_DELTABLE, 0, nft::TableFamily::kInet, "delete a table")
        .put_text(NFTA_TABLE_NAME, "missing");
    CHECK(refused.try_commit(socket) == ENOENT);
    CHECK(count_chains() == kMany);
  }
}

TEST_CASE("socket: thousands of requests in one send", "[netlink]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);
  std::vector<cni::netlink::Message> messages;
  for (int i = 0; i < kMany; ++i) {
    const auto address = cni::IpNet::parse(concat("10.1.", i / 250, ".", i % 250 + 1, "/32"));
    messages.push_back(cni::netlink::new_address(1, "lo", address, cni::netlink::Dad::kSkip));
  }
  std::vector<cni::netlink::Message*> all;
  for (auto& message : messages) all.push_back(&message);
  socket.transact(all);
  CHECK(occurrences(tool("ip -o -4 addr show dev lo"), "inet 10.1.") == kMany);
}
