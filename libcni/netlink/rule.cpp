// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/rule.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/concat.h"

namespace cni::netlink {
namespace {

/// Attributes that say what a rule does, not when it applies.
bool is_no_condition(int attribute) {
  constexpr int kNone[] = {FRA_SRC,      FRA_TABLE, FRA_PRIORITY, FRA_SUPPRESS_PREFIXLEN,
                           FRA_PROTOCOL, FRA_UNSPEC};
  return std::ranges::find(kNone, attribute) != std::end(kNone);
}

KernelRule rule_of(const Reply& reply) {
  const auto& info = reply.header<fib_rule_hdr>();
  const Attributes attributes = reply.attributes<fib_rule_hdr>();
  KernelRule out;
  out.family = info.family == AF_INET ? Family::kV4 : Family::kV6;
  if (const auto source = attributes.bytes(FRA_SRC); !source.empty()) {
    out.source = IpNet{IpAddress::from_bytes(out.family, source), info.src_len};
  }
  if (info.action == FR_ACT_TO_TBL) out.table = attributes.u32(FRA_TABLE, info.table);
  out.priority = attributes.u32(FRA_PRIORITY);
  out.protocol = attributes.u8(FRA_PROTOCOL);
  out.only_source = out.source && info.dst_len == 0 && info.tos == 0 && info.flags == 0;
  attributes.for_each([&](const nlattr* attribute) {
    if (!is_no_condition(nla_type(attribute))) out.only_source = false;
  });
  out.saved = Saved::of(reply);
  return out;
}

}  // namespace

std::vector<KernelRule> list_rules(Socket& socket) {
  Message request(RTM_GETRULE, 0, "list rules");
  request.header(fib_rule_hdr{});
  std::vector<KernelRule> out;
  socket.dump(
      request, [&] { out.clear(); },
      [&](const Reply& reply) {
        const std::uint8_t family = reply.header<fib_rule_hdr>().family;
        if (family == AF_INET || family == AF_INET6) out.push_back(rule_of(reply));
      });
  return out;
}

Message new_rule(const Rule& rule) {
  Message message(RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                  concat("add rule ", text(rule)));
  fib_rule_hdr info{};
  info.family = rule.source.address.is_v4() ? AF_INET : AF_INET6;
  info.src_len = static_cast<std::uint8_t>(rule.source.prefix);
  info.action = FR_ACT_TO_TBL;
  message.header(info);
  message.put_bytes(FRA_SRC, rule.source.address.bytes());
  message.put_u32(FRA_TABLE, rule.table);
  if (rule.protocol != 0) message.put_u8(FRA_PROTOCOL, rule.protocol);
  if (rule.priority) message.put_u32(FRA_PRIORITY, *rule.priority);
  return message;
}

Message delete_rule(const KernelRule& rule) {
  const std::string from = rule.source ? rule.source->text() : std::string("all");
  Message message(RTM_DELRULE, NLM_F_ACK,
                  concat("delete rule ", rule.priority, ": from ", from, " lookup ", rule.table));
  message.append(rule.saved.body.data(), rule.saved.body.size());
  return message;
}

std::string text(const Rule& rule) {
  return concat("from ", rule.source.text(), " lookup ", rule.table);
}

}  // namespace cni::netlink
