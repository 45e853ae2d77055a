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
/// go through the registers from 1 on, those of joined keys one behind the other.
namespace cni::nft {

/// A rule under construction: table, chain and comment are set, expressions are appended.
class Rule {
 public:
  /// Appends to `transaction`; `fill(rule)` adds the expressions.
  template <typename F>
  static void append(Transaction& transaction, TableFamily family, std::string_view table,
                     std::string_view chain, std::string_view comment, F&& fill) {
    fill_in(start(transaction, family, table, chain, comment), fill);
  }
  /// As append, but the rule becomes the chain's first.
  template <typename F>
  static void prepend(Transaction& transaction, TableFamily family, std::string_view table,
                      std::string_view chain, std::string_view comment, F&& fill) {
    fill_in(start(transaction, family, table, chain, comment, 0), fill);
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
  /// Loads the name of the incoming (outgoing) interface (in the bridge family: of the port).
  Rule& load_input_name();
  Rule& load_output_name();
  /// Goes on only for frames whose source MAC is another one.
  Rule& match_other_source(const Mac& mac);
  /// Looks what was loaded up in a verdict map.
  Rule& lookup_verdict(std::string_view map);
  /// Goes on only when the name that was loaded is this one.
  Rule& match_loaded_name(std::string_view name);

  // As iptables-nft writes them, so that iptables can list the rule.

  /// Goes on only when the source (destination) is this address, in a table of its family.
  Rule& match_bare_address(const IpAddress& address, bool source);
  /// Goes on only for packets of connections that are known (ESTABLISHED, RELATED), or whose
  /// destination was translated (DNAT).
  enum class Connection : unsigned char { kKnown, kTranslated };
  Rule& match_connection(Connection connection);
  Rule& counter();

  Rule& match_source(const IpNet& net);
  /// Goes on only when the destination (source) address is not inside the network.
  Rule& match_other_destination(const IpNet& net);
  Rule& match_other_source(const IpNet& net);
  /// Goes on only for (not for) packets that came in over a link of this name or kind; "" is none.
  Rule& match_input_name(std::string_view name, bool equal = true);
  Rule& match_input_kind(std::string_view kind, bool equal = true);
  /// Goes on only for destinations that are addresses of this host.
  Rule& match_local_destination();
  /// Goes on only for packets of connections whose destination was translated.
  Rule& match_redirected();
  /// Goes on only for packets that belong to no connection, though they should.
  Rule& match_invalid();
  /// Goes on only for packets of this family whose source address is in the set.
  Rule& match_source_in_set(Family family, std::string_view set);

  // Keys, to be looked up next.
  /// Protocol and destination port, behind the destination address or not.
  Rule& load_service(Family family, bool with_address);
  Rule& load_destination(Family family);
  Rule& load_source_and_destination(Family family);
  Rule& load_input_name_and_destination(Family family);

  /// Goes on only when what was loaded is in the set.
  Rule& match_in_set(std::string_view set);
  /// Translates the destination into the address and port that the map has for what was loaded;
  /// goes on when it has none.
  Rule& redirect_by_map(Family family, std::string_view map);

 private:
  explicit Rule(netlink::Message& list) noexcept : list_(list) {}
  static netlink::Message& start(Transaction& transaction, TableFamily family,
                                 std::string_view table, std::string_view chain,
                                 std::string_view comment, unsigned place = NLM_F_APPEND);
  template <typename F>
  static void fill_in(netlink::Message& message, F&& fill) {
    message.nest(NFTA_RULE_EXPRESSIONS, [&](netlink::Message& list) {
      Rule rule(list);
      fill(rule);
    });
  }
  template <typename F>
  Rule& expression(std::string_view name, F&& fill) {
    list_.nest(NFTA_LIST_ELEM, [&](netlink::Message& element) {
      element.put_text(NFTA_EXPR_NAME, name);
      element.nest(NFTA_EXPR_DATA, fill);
    });
    return *this;
  }
  /// `word` counts registers of four bytes.
  Rule& payload(int base, std::uint32_t offset, std::uint32_t length, std::uint32_t word = 0);
  Rule& meta(int key, std::uint32_t word = 0);
  Rule& match_address(std::uint32_t offset, const IpNet& net, int operation);
  Rule& match_name(int key, std::string_view name, bool equal);
  Rule& match_connection_bits(int key, std::uint32_t bits);
  Rule& compare(int operation, std::span<const std::uint8_t> value);
  Rule& mask(std::span<const std::uint8_t> bits);

  netlink::Message& list_;
};

/// NFTA_DATA_VERDICT inside `attribute`.
void put_verdict(netlink::Message& message, int attribute, int code, std::string_view chain);

}  // namespace cni::nft
