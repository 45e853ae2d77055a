// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/error.h"

namespace cni::dhcp {
namespace {

constexpr std::uint32_t kAccept = 0xffff;
constexpr std::size_t kArpSize = 28;

sock_filter statement(unsigned code, std::uint32_t k) {
  return {.code = static_cast<std::uint16_t>(code), .jt = 0, .jf = 0, .k = k};
}

/// Goes on if the accumulator is (or, for JSET, has not) k, else jumps over `rest` instructions.
sock_filter require(std::uint32_t k, std::size_t rest) {
  return {
      .code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = static_cast<std::uint8_t>(rest), .k = k};
}

std::uint32_t number(std::span<const std::uint8_t> bytes) {
  std::uint32_t out = 0;
  for (const std::uint8_t byte : bytes) out = out << 8U | byte;
  return out;
}

/// IPv4, UDP, no later fragment, to port 68, a BOOTP reply for this MAC.
std::array<sock_filter, 17> answers_to(const Mac& mac) {
  const std::span<const std::uint8_t> bytes(mac.bytes);
  constexpr unsigned kByte = BPF_LD | BPF_B, kHalf = BPF_LD | BPF_H, kWord = BPF_LD | BPF_W;
  return {{
      statement(kByte | BPF_ABS, 9),
      require(IPPROTO_UDP, 14),
      statement(kHalf | BPF_ABS, 6),
      {.code = BPF_JMP | BPF_JSET | BPF_K, .jt = 12, .jf = 0, .k = 0x1fff},
      statement(BPF_LDX | BPF_B | BPF_MSH, 0),
      statement(kHalf | BPF_IND, 2),
      require(kClientPort, 9),
      statement(kByte | BPF_IND, 8),
      require(2, 7),
      statement(kWord | BPF_IND, 36),
      require(number(bytes.first(4)), 5),
      statement(kHalf | BPF_IND, 40),
      require(number(bytes.subspan(4)), 3),
      statement(kWord | BPF_IND, 244),
      require(0x63825363, 1),
      statement(BPF_RET | BPF_K, kAccept),
      statement(BPF_RET | BPF_K, 0),
  }};
}

void attach(int fd, std::span<sock_filter> filter) {
  const sock_fprog program{.len = static_cast<std::uint16_t>(filter.size()),
                           .filter = filter.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    throw_errno("attach a packet filter");
  }
}

sockaddr_ll link_address(int ifindex, std::uint16_t protocol, const Mac& mac) {
  sockaddr_ll out{};
  out.sll_family = AF_PACKET;
  out.sll_protocol = htons(protocol);
  out.sll_ifindex = ifindex;
  out.sll_halen = ETH_ALEN;
  std::ranges::copy(mac.bytes, out.sll_addr);
  return out;
}

/// With its filter before it hears the first packet.
Fd open_packet(int ifindex, std::uint16_t protocol, std::span<sock_filter> filter) {
  Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) throw_errno("open a packet socket");
  if (!filter.empty()) attach(fd.get(), filter);
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0) {
    throw_errno("set PACKET_AUXDATA");
  }
  const sockaddr_ll address = link_address(ifindex, protocol, {});
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw_errno("bind a packet socket");
  }
  return fd;
}

Checksum checksum_of(msghdr& message) {
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_PACKET || head->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata data{};
    std::memcpy(&data, CMSG_DATA(head), sizeof data);
    if ((data.tp_status & TP_STATUS_CSUMNOTREADY) != 0) return Checksum::kUnfinished;
  }
  return Checksum::kComplete;
}

}  // namespace

PacketSocket PacketSocket::open(int ifindex, const Mac& mac) {
  auto filter = answers_to(mac);
  return {open_packet(ifindex, ETH_P_IP, filter), ifindex};
}

std::optional<Received> PacketSocket::receive() {
  // Servers keep to the size we tell them; what is longer is cut and then no message.
  std::array<std::uint8_t, 2048> bytes{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
  for (;;) {
    sockaddr_ll from{};
    iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(fd_.get(), &message, 0);
    if (size < 0) {
      if (errno == EINTR) continue;
      return std::nullopt;
    }
    const auto datagram =
        parse_datagram(View(bytes).first(static_cast<std::size_t>(size)), checksum_of(message));
    if (!datagram || datagram->destination_port != kClientPort) continue;
    auto packet = Packet::parse(datagram->payload);
    if (!packet) continue;
    Received out{std::move(*packet), {}};
    if (from.sll_halen == ETH_ALEN) std::copy_n(from.sll_addr, ETH_ALEN, out.sender.bytes.begin());
    return out;
  }
}

void PacketSocket::send(const Datagram& datagram, const Mac& to) const {
  const Bytes bytes = encode_datagram(datagram);
  const sockaddr_ll address = link_address(ifindex_, ETH_P_IP, to);
  if (::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
               reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    throw_errno("send a DHCP message");
  }
}

ArpSocket ArpSocket::open(int ifindex, const Mac& mac) {
  return {open_packet(ifindex, ETH_P_ARP, {}), ifindex, mac};
}

void ArpSocket::probe(const IpAddress& address) const {
  std::array<std::uint8_t, kArpSize> bytes{0, 1, 8, 0, ETH_ALEN, 4, 0, ARPOP_REQUEST};
  std::ranges::copy(mac_.bytes, bytes.begin() + 8);
  std::ranges::copy(address.bytes(), bytes.begin() + 24);
  const sockaddr_ll to = link_address(ifindex_, ETH_P_ARP, kEverybody);
  if (::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to),
               sizeof to) < 0) {
    throw_errno("send an ARP probe");
  }
}

bool ArpSocket::hears_of(const IpAddress& address) {
  bool out = false;
  std::array<std::uint8_t, 64> bytes{};
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0) return out;
    if (static_cast<std::size_t>(size) < kArpSize) continue;
    const View arp(bytes);
    const bool is_own = std::ranges::equal(arp.subspan(8, ETH_ALEN), mac_.bytes);
    const IpAddress sender = IpAddress::from_bytes(Family::kV4, arp.subspan(14, 4));
    const IpAddress target = IpAddress::from_bytes(Family::kV4, arp.subspan(24, 4));
    const bool wants = sender.is_unspecified() && target == address;
    if (!is_own && (sender == address || wants)) out = true;
  }
}

Fd open_udp(const IpAddress& source, const std::string& link) {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) throw_errno("open a UDP socket");
  sock_filter nothing[] = {statement(BPF_RET | BPF_K, 0)};
  attach(fd.get(), nothing);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!link.empty() && ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, link.data(),
                                    static_cast<socklen_t>(link.size())) != 0) {
    throw_errno("bind a UDP socket to a link");
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (!link.empty()) address.sin_port = htons(kClientPort);
  std::memcpy(&address.sin_addr, source.bytes().data(), sizeof address.sin_addr);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw_errno("bind a UDP socket");
  }
  return fd;
}

void send_udp(const Fd& socket, const IpAddress& to, View payload) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kServerPort);
  std::memcpy(&address.sin_addr, to.bytes().data(), sizeof address.sin_addr);
  if (::sendto(socket.get(), payload.data(), payload.size(), 0,
               reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    throw_errno("send a DHCP message");
  }
}

}  // namespace cni::dhcp
