// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/expr.h"

#include <linux/netfilter.h>

#include <algorithm>
#include <vector>

#include "base/concat.h"

namespace cni::nft {
namespace {

using netlink::Message;

constexpr std::uint32_t kIpv4Source = 12, kIpv4Destination = 16;  // offsets in the IP header
constexpr std::uint32_t kIpv6Source = 8, kIpv6Destination = 24;
constexpr std::uint32_t kEthernetSource = 6, kMacBytes = 6;

void put_data(Message& message, int attribute, std::span<const std::uint8_t> value) {
  message.nest(attribute, [&](Message& data) { data.put_bytes(NFTA_DATA_VALUE, value); });
}

}  // namespace

void put_verdict(Message& message, int attribute, int code, std::string_view chain) {
  message.nest(attribute, [&](Message& data) {
    data.nest(NFTA_DATA_VERDICT, [&](Message& verdict) {
      verdict.put_be32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
      if (!chain.empty()) verdict.put_text(NFTA_VERDICT_CHAIN, chain);
    });
  });
}

Message& Rule::start(Transaction& transaction, TableFamily family, std::string_view table,
                     std::string_view chain, std::string_view comment) {
  Message& message = transaction.add(
      NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family,
      concat("add nf_tables rule ", quote(comment), " to chain ", table, " ", chain));
  message.put_text(NFTA_RULE_TABLE, table);
  message.put_text(NFTA_RULE_CHAIN, chain);
  put_comment(message, NFTA_RULE_USERDATA, kRuleComment, comment);
  return message;
}

Rule& Rule::payload(int base, std::uint32_t offset, std::uint32_t length) {
  return expression("payload", [&](Message& data) {
    data.put_be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
    data.put_be32(NFTA_PAYLOAD_BASE, static_cast<std::uint32_t>(base));
    data.put_be32(NFTA_PAYLOAD_OFFSET, offset);
    data.put_be32(NFTA_PAYLOAD_LEN, length);
  });
}

Rule& Rule::compare(int operation, std::span<const std::uint8_t> value) {
  return expression("cmp", [&](Message& data) {
    data.put_be32(NFTA_CMP_SREG, NFT_REG_1);
    data.put_be32(NFTA_CMP_OP, static_cast<std::uint32_t>(operation));
    put_data(data, NFTA_CMP_DATA, value);
  });
}

Rule& Rule::mask(std::span<const std::uint8_t> bits) {
  return expression("bitwise", [&](Message& data) {
    data.put_be32(NFTA_BITWISE_SREG, NFT_REG_1);
    data.put_be32(NFTA_BITWISE_DREG, NFT_REG_1);
    data.put_be32(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(bits.size()));
    put_data(data, NFTA_BITWISE_MASK, bits);
    put_data(data, NFTA_BITWISE_XOR, std::vector<std::uint8_t>(bits.size()));
  });
}

Rule& Rule::match_family(Family family) {
  expression("meta", [](Message& data) {
    data.put_be32(NFTA_META_DREG, NFT_REG_1);
    data.put_be32(NFTA_META_KEY, NFT_META_NFPROTO);
  });
  const std::uint8_t protocol = family == Family::kV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  return compare(NFT_CMP_EQ, std::span(&protocol, 1));
}

Rule& Rule::match_destination(const IpNet& net) {
  const bool v4 = net.address.is_v4();
  const auto bytes = static_cast<std::uint32_t>(net.address.bytes().size());
  match_family(net.family());
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kIpv4Destination : kIpv6Destination, bytes);
  if (net.prefix < net.address.bits()) {
    std::vector<std::uint8_t> ones(bytes, 0xff);
    mask(IpAddress::from_bytes(net.family(), ones).network(net.prefix).bytes());
  }
  return compare(NFT_CMP_EQ, net.address.network(net.prefix).bytes());
}

Rule& Rule::source_verdict_map(Family family, std::string_view map) {
  const bool v4 = family == Family::kV4;
  match_family(family);
  payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kIpv4Source : kIpv6Source, v4 ? 4 : 16);
  return lookup_verdict(map);
}

Rule& Rule::lookup_verdict(std::string_view map) {
  return expression("lookup", [&](Message& data) {
    data.put_text(NFTA_LOOKUP_SET, map);
    data.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
    data.put_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  });
}

Rule& Rule::masquerade() {
  return expression("masq", [](Message&) {});
}

Rule& Rule::verdict(int code, std::string_view chain) {
  return expression("immediate", [&](Message& data) {
    data.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    put_verdict(data, NFTA_IMMEDIATE_DATA, code, chain);
  });
}

Rule& Rule::load_input_name() {
  return expression("meta", [](Message& data) {
    data.put_be32(NFTA_META_DREG, NFT_REG_1);
    data.put_be32(NFTA_META_KEY, NFT_META_IIFNAME);
  });
}

Rule& Rule::match_other_source(const Mac& mac) {
  return payload(NFT_PAYLOAD_LL_HEADER, kEthernetSource, kMacBytes).compare(NFT_CMP_NEQ, mac.bytes);
}

}  // namespace cni::nft
