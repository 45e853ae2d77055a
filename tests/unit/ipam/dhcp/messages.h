// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string_view>

#include "packet.h"

namespace cni::dhcp::test {

inline const Mac kMac = *Mac::try_parse("0a:58:0a:00:00:01");
inline const Mac kServerMac = *Mac::try_parse("0a:58:0a:00:00:fe");
inline const IpAddress kServer = IpAddress::parse("10.0.0.254");
inline const IpAddress kOffered = IpAddress::parse("10.0.0.17");

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// What a server answers to a message of ours.
inline Packet reply_to(const Packet& asked, MessageType type) {
  Packet out;
  out.op = Packet::Op::kReply;
  out.xid = asked.xid;
  out.chaddr = asked.chaddr;
  out.set_type(type);
  put_address(out.options, option::kServerId, kServer);
  if (type == MessageType::kNak) return out;
  out.yiaddr = kOffered;
  out.options[option::kSubnetMask] = {255, 255, 255, 0};
  put_u32(out.options, option::kLeaseTime, 3600);
  return out;
}

}  // namespace cni::dhcp::test
