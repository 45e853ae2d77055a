// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "packet.h"

#include <random>

#include "frame.h"
#include "support/catch.h"
#include "unit/ipam/dhcp/messages.h"

using namespace cni::dhcp;
using cni::IpAddress;
using cni::Mac;
using namespace cni::dhcp::test;

namespace {

constexpr std::size_t kSname = 44, kFile = 108, kOptions = 240;

Packet example() {
  Packet out;
  out.op = Packet::Op::kReply;
  out.xid = 0x01020304;
  out.secs = 7;
  out.broadcast = true;
  out.ciaddr = IpAddress::parse("1.2.3.4");
  out.yiaddr = IpAddress::parse("5.6.7.8");
  out.siaddr = IpAddress::parse("9.10.11.12");
  out.giaddr = IpAddress::parse("13.14.15.16");
  out.chaddr = kMac;
  out.set_type(MessageType::kAck);
  put_u32(out.options, option::kLeaseTime, 86400);
  return out;
}

/// The options field replaced by these bytes.
Bytes with_options(const Bytes& options) {
  Bytes out = Packet{}.encode();
  out.resize(kOptions);
  out.insert(out.end(), options.begin(), options.end());
  return out;
}

}  // namespace

TEST_CASE("dhcp packet: what is encoded is parsed again", "[dhcp]") {
  const Packet packet = example();
  REQUIRE(Packet::parse(packet.encode()) == packet);
}

TEST_CASE("dhcp packet: the bytes of a DISCOVER", "[dhcp]") {
  Packet packet;
  packet.xid = 0xa1b2c3d4;
  packet.chaddr = kMac;
  packet.set_type(MessageType::kDiscover);
  packet.options[option::kParameterList] = {3, 1};
  const Bytes bytes = packet.encode();
  REQUIRE(bytes.size() == 300);
  REQUIRE(Bytes(bytes.begin(), bytes.begin() + 12) ==
          Bytes{1, 1, 6, 0, 0xa1, 0xb2, 0xc3, 0xd4, 0, 0, 0, 0});
  REQUIRE(Bytes(bytes.begin() + 28, bytes.begin() + 36) == Bytes{0x0a, 0x58, 0x0a, 0, 0, 1, 0, 0});
  REQUIRE(Bytes(bytes.begin() + 236, bytes.begin() + 249) ==
          Bytes{99, 130, 83, 99, 53, 1, 1, 55, 2, 3, 1, 255, 0});
}

TEST_CASE("dhcp packet: long options are pieces on the wire (RFC 3396)", "[dhcp]") {
  for (const std::size_t size : {0U, 1U, 254U, 255U, 256U, 510U, 511U, 1000U}) {
    Packet packet = example();
    Bytes value(size);
    for (std::size_t i = 0; i < size; ++i) value[i] = static_cast<std::uint8_t>(i * 7);
    packet.options[option::kDomainSearch] = value;
    CAPTURE(size);
    REQUIRE(Packet::parse(packet.encode()) == packet);
  }
}

TEST_CASE("dhcp packet: options overloaded into file and sname, in this order", "[dhcp]") {
  const auto overload = GENERATE(as<std::uint8_t>{}, 1, 2, 3);
  Bytes bytes = with_options({option::kOverload, 1, overload, option::kDomainName, 1, 'a', 255});
  bytes[kFile] = option::kDomainName;
  bytes[kFile + 1] = 1;
  bytes[kFile + 2] = 'b';
  bytes[kFile + 3] = 255;
  bytes[kSname] = option::kDomainName;
  bytes[kSname + 1] = 1;
  bytes[kSname + 2] = 'c';
  bytes[kSname + 3] = 255;
  const auto packet = Packet::parse(bytes);
  REQUIRE(packet);
  const std::string expected[] = {"a", "ab", "ac", "abc"};
  REQUIRE(get_text(packet->options, option::kDomainName) == expected[overload]);
  REQUIRE(packet->options.count(option::kOverload) == 0);
}

TEST_CASE("dhcp packet: a wrong length anywhere is no packet", "[dhcp]") {
  REQUIRE_FALSE(Packet::parse(with_options({option::kHostName})));
  REQUIRE_FALSE(Packet::parse(with_options({option::kHostName, 2, 'a'})));
  Bytes overloaded = with_options({option::kOverload, 1, 1, 255});
  overloaded[kFile + 127] = option::kHostName;
  REQUIRE_FALSE(Packet::parse(overloaded));
  // Ended by the end of the packet: some servers do that.
  REQUIRE(Packet::parse(with_options({option::kHostName, 1, 'a'})));
  REQUIRE(Packet::parse(with_options({0, 0, option::kHostName, 1, 'a', 0})));
}

TEST_CASE("dhcp packet: every prefix of one is none, or one", "[dhcp]") {
  const Bytes whole = example().encode();
  for (std::size_t size = 0; size < kOptions; ++size) {
    REQUIRE_FALSE(Packet::parse(cni::dhcp::View(whole).first(size)));
  }
  for (std::size_t size = kOptions; size <= whole.size(); ++size) {
    static_cast<void>(Packet::parse(cni::dhcp::View(whole).first(size)));
  }
}

TEST_CASE("dhcp packet: another kind of link, of message, of cookie", "[dhcp]") {
  for (const std::size_t at : {0U, 1U, 2U, 236U, 239U}) {
    Bytes bytes = example().encode();
    bytes[at] ^= 0x40U;
    CAPTURE(at);
    REQUIRE_FALSE(Packet::parse(bytes));
  }
}

TEST_CASE("dhcp packet: option values of a wrong length count as absent", "[dhcp]") {
  Options options;
  for (const std::size_t size : {0U, 1U, 2U, 3U, 4U, 5U, 8U}) {
    options[1] = Bytes(size, 9);
    CAPTURE(size);
    REQUIRE(get_u8(options, 1).has_value() == (size == 1));
    REQUIRE(get_u16(options, 1).has_value() == (size == 2));
    REQUIRE(get_u32(options, 1).has_value() == (size == 4));
    REQUIRE(get_address(options, 1).has_value() == (size == 4));
    REQUIRE(get_addresses(options, 1).size() == (size % 4 == 0 ? size / 4 : 0));
  }
  REQUIRE_FALSE(get_u32(options, 2));
  options[1] = bytes_of(std::string_view("a\x01\xff\0b\0\0", 7));
  REQUIRE(get_text(options, 1) == "a???b");
}

TEST_CASE("dhcp packet: message types", "[dhcp]") {
  Packet packet;
  REQUIRE_FALSE(packet.type());
  for (const int value : {0, 8, 255}) {
    packet.options[option::kMessageType] = {static_cast<std::uint8_t>(value)};
    REQUIRE_FALSE(packet.type());
  }
  packet.options[option::kMessageType] = {1, 1};
  REQUIRE_FALSE(packet.type());
  packet.set_type(MessageType::kRelease);
  REQUIRE(packet.type() == MessageType::kRelease);
}

TEST_CASE("dhcp frame: what is encoded is parsed again, padding and all", "[dhcp]") {
  for (const std::size_t size : {0U, 1U, 2U, 299U, 300U}) {
    const Bytes payload(size, 0xa5);
    const Datagram datagram{.source = IpAddress::parse("10.0.0.1"),
                            .destination = IpAddress::parse("255.255.255.255"),
                            .source_port = kClientPort,
                            .destination_port = kServerPort,
                            .payload = payload};
    Bytes bytes = encode_datagram(datagram);
    bytes.resize(bytes.size() + 9, 0x77);
    const auto parsed = parse_datagram(bytes, Checksum::kComplete);
    CAPTURE(size);
    REQUIRE(parsed);
    REQUIRE(parsed->source == datagram.source);
    REQUIRE(parsed->destination == datagram.destination);
    REQUIRE(parsed->source_port == kClientPort);
    REQUIRE(parsed->destination_port == kServerPort);
    REQUIRE(Bytes(parsed->payload.begin(), parsed->payload.end()) == payload);
  }
}

TEST_CASE("dhcp frame: checksums", "[dhcp]") {
  const Bytes payload(300, 1);
  const Bytes good = encode_datagram({.source = kServer,
                                      .destination = kOffered,
                                      .source_port = 67,
                                      .destination_port = 68,
                                      .payload = payload});
  Bytes header = good;
  header[8] ^= 1U;
  REQUIRE_FALSE(parse_datagram(header, Checksum::kComplete));
  REQUIRE_FALSE(parse_datagram(header, Checksum::kUnfinished));
  Bytes body = good;
  body.back() ^= 1U;
  REQUIRE_FALSE(parse_datagram(body, Checksum::kComplete));
  // A server on the same host: the kernel has not made the checksum yet, and says so.
  REQUIRE(parse_datagram(body, Checksum::kUnfinished));
  Bytes without = good;
  without[26] = without[27] = 0;
  REQUIRE(parse_datagram(without, Checksum::kComplete));
}

TEST_CASE("dhcp frame: lengths that lie are no datagram", "[dhcp]") {
  const Bytes payload(300, 1);
  const Bytes good = encode_datagram({.source = kServer,
                                      .destination = kOffered,
                                      .source_port = 67,
                                      .destination_port = 68,
                                      .payload = payload});
  struct Change {
    std::size_t at;
    std::uint8_t value;
  };
  const auto change = GENERATE(values<Change>({
      {0, 0x65},   // version
      {0, 0x44},   // header of 16 bytes
      {0, 0x4f},   // header of 60 bytes: then the UDP length does not fit its place
      {2, 0x00},   // total length below both headers
      {2, 0x02},   // beyond the end
      {6, 0x20},   // a fragment
      {7, 0x01},   // a later fragment
      {9, 6},      // TCP
      {24, 0xff},  // UDP length beyond the end
  }));
  Bytes bytes = good;
  bytes[change.at] = change.value;
  if (change.at == 2 && change.value == 0) bytes[3] = 27;
  CAPTURE(change.at, int{change.value});
  REQUIRE_FALSE(parse_datagram(bytes, Checksum::kUnfinished));
  Bytes short_udp = good;
  short_udp[24] = 0;
  short_udp[25] = 7;
  REQUIRE_FALSE(parse_datagram(short_udp, Checksum::kUnfinished));
  for (std::size_t size = 0; size < good.size(); ++size) {
    REQUIRE_FALSE(parse_datagram(cni::dhcp::View(good).first(size), Checksum::kUnfinished));
  }
}

TEST_CASE("dhcp packet: random bytes and random damage do no harm", "[dhcp]") {
  std::mt19937 random(1);
  const Bytes whole = example().encode();
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = whole;
    for (unsigned n = random() % 8; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    bytes.resize(random() % 4 == 0 ? random() % bytes.size() : bytes.size());
    const auto packet = Packet::parse(bytes);
    // What was understood is said again in the same words.
    if (packet) REQUIRE(Packet::parse(packet->encode()) == packet);
    static_cast<void>(parse_datagram(bytes, Checksum::kComplete));
  }
}
