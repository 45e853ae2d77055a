// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// For libFuzzer: answers of the kernel, of D-Bus and of iptables-save. The first byte says what is
// asked; the rest is, for the kernel, a row of messages: length, type, content. Nothing is sent.
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "dbus/message.h"
#include "host/xtables.h"
#include "netlink/address.h"
#include "netlink/bridge_vlan.h"
#include "netlink/conntrack.h"
#include "netlink/link.h"
#include "netlink/qdisc.h"
#include "netlink/route.h"
#include "nft/set.h"
#include "nft/table.h"

namespace {

std::string_view pending;  // what the kernel has still to say
std::uint32_t asked = 0;   // the number of the request, or of the first of them
std::uint32_t open_requests = 0;
unsigned turns = 0;

void append(std::vector<char>& out, std::uint16_t type, std::uint32_t number,
            std::string_view content) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(content.size()));
  header.nlmsg_type = type;
  header.nlmsg_seq = number;
  const std::size_t at = out.size();
  out.resize(at + NLMSG_SPACE(content.size()));
  std::memcpy(out.data() + at, &header, sizeof header);
  std::copy(content.begin(), content.end(), out.begin() + static_cast<long>(at + NLMSG_HDRLEN));
}

std::string_view take(std::size_t size) {
  const std::string_view out = pending.substr(0, size);
  pending.remove_prefix(out.size());
  return out;
}

/// One message of the input, or when there is none the end of all answers.
std::vector<char> answer() {
  std::vector<char> out;
  if (pending.size() < 4) {
    pending = {};
    const nlmsgerr success{};
    const std::string_view text(reinterpret_cast<const char*>(&success), sizeof success);
    append(out, NLMSG_DONE, asked, std::string_view(text).substr(0, 4));
    for (std::uint32_t i = 0; i < open_requests; ++i) append(out, NLMSG_ERROR, asked + i, text);
    return out;
  }
  std::uint16_t length = 0;
  std::uint16_t type = 0;
  std::memcpy(&length, take(2).data(), 2);
  std::memcpy(&type, take(2).data(), 2);
  append(out, type, asked, take(length));
  return out;
}

}  // namespace

extern "C" ssize_t __wrap_sendmsg(int /*socket*/, const msghdr* message, int /*flags*/) {
  // The wire ends here for requests that ask again and again.
  if (++turns > 50) return errno = EIO, -1;
  open_requests = 0;
  for (std::size_t i = 0; i < message->msg_iovlen; ++i) {
    const auto& part = message->msg_iov[i];
    const char* at = static_cast<const char*>(part.iov_base);
    for (std::size_t rest = part.iov_len; rest >= sizeof(nlmsghdr);) {
      nlmsghdr header;
      std::memcpy(&header, at, sizeof header);
      if (open_requests++ == 0) asked = header.nlmsg_seq;
      const std::size_t step = std::min<std::size_t>(rest, NLMSG_ALIGN(header.nlmsg_len));
      if (step == 0) break;
      at += step;
      rest -= step;
    }
  }
  return 1;
}

extern "C" ssize_t __wrap_recv(int /*socket*/, void* buffer, std::size_t size, int /*flags*/) {
  const std::vector<char> bytes = answer();
  std::memcpy(buffer, bytes.data(), std::min(size, bytes.size()));
  return static_cast<ssize_t>(bytes.size());
}

namespace {

using namespace cni;
using netlink::Socket;

Socket& route_socket() {
  static Socket socket = Socket::open(Socket::Protocol::kRoute);
  return socket;
}
Socket& nft_socket() {
  static Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  return socket;
}

const nft::Table kTable{nft::TableFamily::kInet, "cnipp"};
const nft::Set kSet{kTable, "masq4", nft::kIpv4Type, nft::kVerdictType};

void dbus_message(std::string_view text) {
  if (text.size() < dbus::kFixedHeaderBytes) return;
  const std::size_t bytes = dbus::message_bytes(text.substr(0, dbus::kFixedHeaderBytes));
  static_cast<void>(dbus::decode(text.substr(0, bytes)));
}

void iptables_save(std::string_view text) {
  const xtables::Ruleset rules = xtables::parse_ruleset(text);
  for (const std::string& rule : rules.rules) static_cast<void>(xtables::as_command("-D", rule));
}

void ask_kernel(unsigned question) {
  const auto v4 = IpAddress::parse("10.1.0.2");
  switch (question) {
    case 0:
      static_cast<void>(netlink::find_link(route_socket(), "eth0"));
      break;
    case 1:
      static_cast<void>(netlink::list_links(route_socket()));
      break;
    case 2:
      static_cast<void>(netlink::list_addresses(route_socket(), 2));
      break;
    case 3:
      static_cast<void>(netlink::list_routes(route_socket(), 2));
      break;
    case 4:
      static_cast<void>(netlink::find_way(route_socket(), v4));
      break;
    case 5:
      static_cast<void>(netlink::find_root_qdisc(route_socket(), 2));
      break;
    case 6:
      static_cast<void>(netlink::list_ingress_filters(route_socket(), 2));
      break;
    case 7:
      static_cast<void>(netlink::list_port_vlans(route_socket(), 2));
      break;
    case 8:
      netlink::conntrack::forget_redirected_to(nft_socket(), v4);
      break;
    case 9:
      static_cast<void>(nft::list_tables(nft_socket()));
      break;
    case 10:
      static_cast<void>(nft::list_base_chains(nft_socket()));
      break;
    case 11:
      static_cast<void>(nft::list_rules(nft_socket(), kTable, "postrouting"));
      break;
    case 12:
      static_cast<void>(nft::list_elements(nft_socket(), kSet));
      break;
    default:
      static_cast<void>(nft::list_sets(nft_socket(), kTable));
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  pending = text;
  turns = 0;
  try {
    switch (const unsigned question = data[0] % 16) {
      case 14:
        dbus_message(text);
        break;
      case 15:
        iptables_save(text);
        break;
      default:
        ask_kernel(question);
        break;
    }
  } catch (const Error&) {  // the answer to what is wrong
  }
  return 0;
}
