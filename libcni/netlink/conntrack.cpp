// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"

namespace cni::netlink::conntrack {
namespace {

// The kernel's CTA_FILTER_F_*, which its headers for programs leave out.
constexpr std::uint32_t kFilterSource = 1U << 0, kFilterProtocol = 1U << 3,
                        kFilterDestinationPort = 1U << 5;
constexpr std::size_t kDeletionsAtOnce = 64;

Message request(int type, unsigned flags, Family family, std::string what) {
  Message message(static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | type), flags,
                  std::move(what));
  nfgenmsg header{};
  header.nfgen_family = family == Family::kV4 ? AF_INET : AF_INET6;
  header.version = NFNETLINK_V0;
  message.header(header);
  return message;
}

void put_filter(Message& message, const Filter& filter) {
  std::uint32_t first = 0;
  std::uint32_t answer = 0;
  if (filter.protocol) {
    message.nest(CTA_TUPLE_ORIG, [&](Message& tuple) {
      tuple.nest(CTA_TUPLE_PROTO, [&](Message& protocol) {
        protocol.put_u8(CTA_PROTO_NUM, *filter.protocol);
        first |= kFilterProtocol;
        if (!filter.destination_port) return;
        protocol.put_u16(CTA_PROTO_DST_PORT, htons(*filter.destination_port));
        first |= kFilterDestinationPort;
      });
    });
  }
  // Not for IPv6: there the kernel (6.18 and before) passes over the very address asked for.
  if (filter.answers_from && filter.answers_from->is_v4()) {
    message.nest(CTA_TUPLE_REPLY, [&](Message& tuple) {
      tuple.nest(CTA_TUPLE_IP,
                 [&](Message& ip) { ip.put_bytes(CTA_IP_V4_SRC, filter.answers_from->bytes()); });
    });
    answer = kFilterSource;
  }
  if (first == 0 && answer == 0) return;
  message.nest(CTA_FILTER, [&](Message& flags) {
    flags.put_u32(CTA_FILTER_ORIG_FLAGS, first).put_u32(CTA_FILTER_REPLY_FLAGS, answer);
  });
}

IpAddress address_of(const Attributes& ip, Family family, bool source) {
  const bool v4 = family == Family::kV4;
  const int attribute =
      v4 ? (source ? CTA_IP_V4_SRC : CTA_IP_V4_DST) : (source ? CTA_IP_V6_SRC : CTA_IP_V6_DST);
  const auto bytes = ip.bytes(attribute);
  if (bytes.size() != (v4 ? 4U : 16U)) return {};
  return IpAddress::from_bytes(family, bytes);
}

Flow parse_flow(const Attributes& entry, Family family) {
  const Attributes first = entry.nested(CTA_TUPLE_ORIG);
  const Attributes answer = entry.nested(CTA_TUPLE_REPLY);
  const Attributes service = first.nested(CTA_TUPLE_PROTO);
  Flow out;
  out.protocol = service.u8(CTA_PROTO_NUM);
  out.source_port = ntohs(service.u16(CTA_PROTO_SRC_PORT));
  out.destination_port = ntohs(service.u16(CTA_PROTO_DST_PORT));
  out.source = address_of(first.nested(CTA_TUPLE_IP), family, true);
  out.destination = address_of(first.nested(CTA_TUPLE_IP), family, false);
  out.answers_from = address_of(answer.nested(CTA_TUPLE_IP), family, true);
  out.answers_from_port = ntohs(answer.nested(CTA_TUPLE_PROTO).u16(CTA_PROTO_SRC_PORT));
  return out;
}

bool matches(const Flow& flow, const Filter& filter) {
  return (!filter.protocol || *filter.protocol == flow.protocol) &&
         (!filter.destination_port || *filter.destination_port == flow.destination_port) &&
         (!filter.answers_from || *filter.answers_from == flow.answers_from);
}

/// The deletion names the first packet's tuple and the entry's number, so that a new entry of the
/// same tuple is not hit.
Message deletion(const Attributes& entry, Family family) {
  Message message = request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family, "delete a conntrack entry");
  for (const int attribute : {CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE}) {
    const nlattr* const found = entry.find(attribute);
    if (found == nullptr) continue;
    const auto bytes = entry.bytes(attribute);
    message.put_struct(found->nla_type, bytes.data(), bytes.size());
  }
  message.tolerate(ENOENT);
  return message;
}

bool is_unknown_request(const KernelError& error) {
  return error.is(std::errc::invalid_argument) || error.is(std::errc::operation_not_supported) ||
         error.is(std::errc::protocol_not_supported);
}

/// Without CTA_FILTER, which kernels before 6.8 pass over here, this would delete the one entry of
/// the tuple; being no whole tuple, it is refused by them.
bool flush_redirected(Socket& socket, const Filter& filter) {
  Message message = request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, filter.family,
                            "delete redirected conntrack entries");
  put_filter(message, filter);
  message.put_u32(CTA_STATUS, htonl(IPS_DST_NAT)).put_u32(CTA_STATUS_MASK, htonl(IPS_DST_NAT));
  try {
    socket.transact(message);
    return true;
  } catch (const KernelError& error) {
    if (is_unknown_request(error)) return false;
    throw;
  }
}

struct Match {
  Flow flow;
  Message deletion;
};

std::vector<Match> find(Socket& socket, const Filter& filter) {
  Message dump = request(IPCTNL_MSG_CT_GET, 0, filter.family, "list conntrack entries");
  put_filter(dump, filter);
  std::vector<Match> out;
  socket.dump(
      dump, [&] { out.clear(); },
      [&](const Reply& reply) {
        const Attributes entry = reply.attributes<nfgenmsg>();
        const Flow flow = parse_flow(entry, filter.family);
        if (matches(flow, filter)) out.push_back({flow, deletion(entry, filter.family)});
      });
  return out;
}

}  // namespace

std::size_t forget(Socket& socket, const Filter& filter,
                   const std::function<bool(const Flow&)>& stale) {
  std::vector<Match> matches;
  try {
    matches = find(socket, filter);
  } catch (const KernelError& error) {
    if (!is_unknown_request(error)) throw;
    log::warn(concat("connections from before are not cut: ", error.what()));
    return 0;
  }
  // After the dump: `stale` may ask over the same socket.
  std::erase_if(matches, [&](const Match& match) { return !stale(match.flow); });
  for (std::size_t at = 0; at < matches.size(); at += kDeletionsAtOnce) {
    std::vector<Message*> some;
    for (std::size_t i = at; i < std::min(at + kDeletionsAtOnce, matches.size()); ++i) {
      some.push_back(&matches[i].deletion);
    }
    socket.transact(some);
  }
  return matches.size();
}

void forget_redirected_to(Socket& socket, const IpAddress& address) {
  const Filter filter{
      .family = address.family(), .protocol = {}, .destination_port = {}, .answers_from = address};
  if (address.is_v4() && flush_redirected(socket, filter)) return;
  (void)forget(socket, filter, [](const Flow& flow) { return flow.is_redirected(); });
}

}  // namespace cni::netlink::conntrack
