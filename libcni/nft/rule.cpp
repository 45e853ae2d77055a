// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/rule.h"

#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/concat.h"

namespace cni::nft {
namespace {

using netlink::Message;

constexpr std::uint32_t kIpv4Source = 12, kIpv4Destination = 16;  // offsets in the IP header
constexpr std::uint32_t kIpv6Source = 8, kIpv6Destination = 24;
constexpr std::uint32_t kDestinationPort = 2;  // in the headers of TCP, UDP, SCTP
constexpr std::uint32_t kEthernetSource = 6, kMacBytes = 6;
constexpr std::size_t kXtAlign = 8;  // XT_ALIGN
constexpr std::uint32_t kConntrackRevision = 3;

/// The register at which a word of four bytes begins, as the kernel calls it in its listings.
std::uint32_t register_at(std::uint32_t word) {
  constexpr std::uint32_t kWords = NFT_REG_SIZE / NFT_REG32_SIZE;
  return word % kWords == 0 ? NFT_REG_1 + word / kWords : NFT_REG32_00 + word;
}

std::uint32_t bytes_of(Family family) { return family == Family::kV4 ? 4 : 16; }

std::uint32_t source_offset(Family family) {
  return family == Family::kV4 ? kIpv4Source : kIpv6Source;
}

std::uint32_t destination_offset(Family family) {
  return family == Family::kV4 ? kIpv4Destination : kIpv6Destination;
}

std::array<std::uint8_t, 4> host_order(std::uint32_t value) {
  return std::bit_cast<std::array<std::uint8_t, 4>>(value);
}

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
                     std::string_view chain, std::string_view comment, unsigned place) {
  Message& message = transaction.add(
      NFT_MSG_NEWRULE, NLM_F_CREATE | place, family,
      concat("add nf_tables rule ", quote(comment), " to chain ", table, " ", chain));
  message.put_text(NFTA_RULE_TABLE, table);
  message.put_text(NFTA_RULE_CHAIN, chain);
  put_comment(message, NFTA_RULE_USERDATA, kRuleComment, comment);
  return message;
}

Rule& Rule::payload(int base, std::uint32_t offset, std::uint32_t length, std::uint32_t word) {
  return expression("payload", [&](Message& data) {
    data.put_be32(NFTA_PAYLOAD_DREG, register_at(word));
    data.put_be32(NFTA_PAYLOAD_BASE, static_cast<std::uint32_t>(base));
    data.put_be32(NFTA_PAYLOAD_OFFSET, offset);
    data.put_be32(NFTA_PAYLOAD_LEN, length);
  });
}

Rule& Rule::meta(int key, std::uint32_t word) {
  return expression("meta", [&](Message& data) {
    data.put_be32(NFTA_META_DREG, register_at(word));
    data.put_be32(NFTA_META_KEY, static_cast<std::uint32_t>(key));
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
  const std::uint8_t protocol = family == Family::kV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  return meta(NFT_META_NFPROTO).compare(NFT_CMP_EQ, std::span(&protocol, 1));
}

Rule& Rule::match_address(std::uint32_t offset, const IpNet& net, int operation) {
  match_family(net.family());
  const IpAddress first = net.address.network(net.prefix);
  constexpr int kByte = 8;
  if (net.prefix > 0 && net.prefix % kByte == 0) {
    // As nft(8) writes it, so that a ruleset that it has saved and restored is the same.
    const auto length = static_cast<std::uint32_t>(net.prefix / kByte);
    payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length);
    return compare(operation, first.bytes().first(length));
  }
  payload(NFT_PAYLOAD_NETWORK_HEADER, offset, bytes_of(net.family()));
  std::vector<std::uint8_t> ones(bytes_of(net.family()), 0xff);
  mask(IpAddress::from_bytes(net.family(), ones).network(net.prefix).bytes());
  return compare(operation, first.bytes());
}

Rule& Rule::match_destination(const IpNet& net) {
  return match_address(destination_offset(net.family()), net, NFT_CMP_EQ);
}

Rule& Rule::match_other_destination(const IpNet& net) {
  return match_address(destination_offset(net.family()), net, NFT_CMP_NEQ);
}

Rule& Rule::match_source(const IpNet& net) {
  return match_address(source_offset(net.family()), net, NFT_CMP_EQ);
}

Rule& Rule::match_other_source(const IpNet& net) {
  return match_address(source_offset(net.family()), net, NFT_CMP_NEQ);
}

Rule& Rule::source_verdict_map(Family family, std::string_view map) {
  match_family(family);
  payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset(family), bytes_of(family));
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

Rule& Rule::load_input_name() { return meta(NFT_META_IIFNAME); }

Rule& Rule::load_output_name() { return meta(NFT_META_OIFNAME); }

Rule& Rule::match_loaded_name(std::string_view name) {
  // With the NUL at its end: without it, names that begin so would match, too.
  std::vector<std::uint8_t> bytes(name.begin(), name.end());
  bytes.push_back(0);
  return compare(NFT_CMP_EQ, bytes);
}

Rule& Rule::match_bare_address(const IpAddress& address, bool source) {
  const Family family = address.family();
  return payload(NFT_PAYLOAD_NETWORK_HEADER,
                 source ? source_offset(family) : destination_offset(family), bytes_of(family))
      .compare(NFT_CMP_EQ, address.bytes());
}

Rule& Rule::match_connection(Connection connection) {
  constexpr unsigned kKnown =
      XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED) | XT_CONNTRACK_STATE_BIT(IP_CT_RELATED);
  xt_conntrack_mtinfo3 info{};
  info.match_flags = XT_CONNTRACK_STATE;
  info.state_mask = connection == Connection::kKnown ? kKnown : XT_CONNTRACK_STATE_DNAT;
  std::vector<std::uint8_t> bytes((sizeof info + kXtAlign - 1) / kXtAlign * kXtAlign);
  std::memcpy(bytes.data(), &info, sizeof info);
  return expression("match", [&](Message& data) {
    data.put_text(NFTA_MATCH_NAME, "conntrack");
    data.put_be32(NFTA_MATCH_REV, kConntrackRevision);
    data.put_bytes(NFTA_MATCH_INFO, bytes);
  });
}

Rule& Rule::counter() {
  return expression("counter", [](Message&) {});
}

Rule& Rule::match_other_source(const Mac& mac) {
  return payload(NFT_PAYLOAD_LL_HEADER, kEthernetSource, kMacBytes).compare(NFT_CMP_NEQ, mac.bytes);
}

Rule& Rule::match_name(int key, std::string_view name, bool equal) {
  std::array<std::uint8_t, IFNAMSIZ> text{};
  std::ranges::copy(name.substr(0, text.size() - 1), text.begin());
  return meta(key).compare(equal ? NFT_CMP_EQ : NFT_CMP_NEQ, text);
}

Rule& Rule::match_input_name(std::string_view name, bool equal) {
  return match_name(NFT_META_IIFNAME, name, equal);
}

Rule& Rule::match_input_kind(std::string_view kind, bool equal) {
  return match_name(NFT_META_IIFKIND, kind, equal);
}

Rule& Rule::match_local_destination() {
  expression("fib", [](Message& data) {
    data.put_be32(NFTA_FIB_DREG, NFT_REG_1);
    data.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    data.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  });
  return compare(NFT_CMP_EQ, host_order(RTN_LOCAL));
}

Rule& Rule::match_redirected() { return match_connection_bits(NFT_CT_STATUS, IPS_DST_NAT); }

Rule& Rule::match_invalid() { return match_connection_bits(NFT_CT_STATE, NF_CT_STATE_INVALID_BIT); }

Rule& Rule::match_connection_bits(int key, std::uint32_t bits) {
  expression("ct", [&](Message& data) {
    data.put_be32(NFTA_CT_DREG, NFT_REG_1);
    data.put_be32(NFTA_CT_KEY, static_cast<std::uint32_t>(key));
  });
  mask(host_order(bits));
  return compare(NFT_CMP_NEQ, host_order(0));
}

Rule& Rule::match_source_in_set(Family family, std::string_view set) {
  match_family(family);
  payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset(family), bytes_of(family));
  return match_in_set(set);
}

Rule& Rule::load_service(Family family, bool with_address) {
  match_family(family);
  std::uint32_t word = 0;
  if (with_address) {
    load_destination(family);
    word = bytes_of(family) / NFT_REG32_SIZE;
  }
  meta(NFT_META_L4PROTO, word);
  return payload(NFT_PAYLOAD_TRANSPORT_HEADER, kDestinationPort, 2, word + 1);
}

Rule& Rule::load_destination(Family family) {
  return payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset(family), bytes_of(family));
}

Rule& Rule::load_source_and_destination(Family family) {
  payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset(family), bytes_of(family));
  return payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset(family), bytes_of(family),
                 bytes_of(family) / NFT_REG32_SIZE);
}

Rule& Rule::load_input_name_and_destination(Family family) {
  load_input_name();
  return payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset(family), bytes_of(family),
                 IFNAMSIZ / NFT_REG32_SIZE);
}

Rule& Rule::match_in_set(std::string_view set) {
  return expression("lookup", [&](Message& data) {
    data.put_text(NFTA_LOOKUP_SET, set);
    data.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
  });
}

Rule& Rule::redirect_by_map(Family family, std::string_view map) {
  expression("lookup", [&](Message& data) {
    data.put_text(NFTA_LOOKUP_SET, map);
    data.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
    data.put_be32(NFTA_LOOKUP_DREG, NFT_REG_1);
  });
  return expression("nat", [&](Message& data) {
    data.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    data.put_be32(NFTA_NAT_FAMILY, family == Family::kV4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    data.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    data.put_be32(NFTA_NAT_REG_PROTO_MIN, register_at(bytes_of(family) / NFT_REG32_SIZE));
  });
}

}  // namespace cni::nft
