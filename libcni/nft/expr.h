// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/ip.h"
#include "netlink/message.h"
#include "nft/transaction.h"

/// The nf_tables expressions we use. Each appends itself to a rule's NFTA_RULE_EXPRESSIONS; values
/// go through register 1.
namespace cni::nft {

/// A rule under construction: table, chain and comment are set, expressions are appended.
class Rule {
 public:
  /// Appends to `transaction`; `fill(rule)` adds the expressions.
  template <typename F>
  static void append(Transaction& transaction, TableFamily family, std::string_view table,
                     std::string_view chain, std::string_view comment, F&& fill) {
    netlink::Message& message = start(transaction, family, table, chain, comment);
    message.nest(NFTA_RULE_EXPRESSIONS, [&](netlink::Message& list) {
      Rule rule(list);
      fill(rule);
    });
  }

  /// Goes on only for packets of this family (in an inet table).
  Rule& match_family(Family family);
  /// Goes on only when the destination (source) address is inside the network.
  Rule& match_destination(const IpNet& net);
  /// Looks the source address up in a verdict map.
  Rule& source_verdict_map(Family family, std::string_view map);
  Rule& masquerade();
  /// NFT_RETURN, NF_ACCEPT, NF_DROP, or NFT_GOTO / NFT_JUMP with a chain.
  Rule& verdict(int code, std::string_view chain = {});
  /// Loads the name of the incoming interface (in the bridge family: of the port).
  Rule& load_input_name();
  /// Goes on only for frames whose source MAC is another one.
  Rule& match_other_source(const Mac& mac);
  /// Looks what was loaded up in a verdict map.
  Rule& lookup_verdict(std::string_view map);

 private:
  explicit Rule(netlink::Message& list) noexcept : list_(list) {}
  static netlink::Message& start(Transaction& transaction, TableFamily family,
                                 std::string_view table, std::string_view chain,
                                 std::string_view comment);
  template <typename F>
  Rule& expression(std::string_view name, F&& fill) {
    list_.nest(NFTA_LIST_ELEM, [&](netlink::Message& element) {
      element.put_text(NFTA_EXPR_NAME, name);
      element.nest(NFTA_EXPR_DATA, fill);
    });
    return *this;
  }
  Rule& payload(int base, std::uint32_t offset, std::uint32_t length);
  Rule& compare(int operation, std::span<const std::uint8_t> value);
  Rule& mask(std::span<const std::uint8_t> bits);

  netlink::Message& list_;
};

/// NFTA_DATA_VERDICT inside `attribute`.
void put_verdict(netlink::Message& message, int attribute, int code, std::string_view chain);

}  // namespace cni::nft
