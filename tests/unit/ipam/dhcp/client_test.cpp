// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "client.h"

#include <random>

#include "support/catch.h"
#include "unit/ipam/dhcp/messages.h"

using namespace cni::dhcp;
using namespace cni::dhcp::test;
using cni::IpAddress;
using cni::test::contains;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

Settings settings() {
  Settings out;
  out.mac = kMac;
  out.client_id = {0, 'k', 'e', 'y'};
  out.parameters = {121, 1, 3};
  out.provided[option::kHostName] = bytes_of("pod");
  return out;
}

/// A client, the time, and what it did since the last look.
struct Table {
  Client client;
  Time now = seconds(100000);
  std::vector<Packet> sent;
  std::vector<Send> ways;
  std::vector<IpAddress> probes;
  int gained = 0;
  std::vector<std::string> lost;

  explicit Table(Settings s = settings()) : client(std::move(s), 1) {}

  void look() {
    sent.clear();
    ways.clear();
    probes.clear();
    gained = 0;
    lost.clear();
    for (Action& action : client.take_actions()) {
      if (auto* const send = std::get_if<Send>(&action)) {
        sent.push_back(send->packet);
        ways.push_back(std::move(*send));
      } else if (auto* const probe = std::get_if<SendProbe>(&action)) {
        probes.push_back(probe->address);
      } else if (auto* const gone = std::get_if<Lost>(&action)) {
        lost.push_back(gone->why);
      } else {
        ++gained;
      }
    }
  }
  void start() {
    client.start(now);
    look();
  }
  void receive(const Packet& packet) {
    client.receive(now, packet, kServerMac);
    look();
  }
  void answer(MessageType type) { receive(reply_to(sent.back(), type)); }
  /// To the client's next event.
  void wait() {
    REQUIRE(client.next() != kNever);
    now = client.next();
    client.tick(now);
    look();
  }
  void become_bound() {
    start();
    answer(MessageType::kOffer);
    answer(MessageType::kAck);
    REQUIRE(client.state() == State::kBound);
  }
  /// REQUEST of RENEWING is out.
  void become_renewing() {
    become_bound();
    wait();
    REQUIRE(client.state() == State::kRenewing);
  }
  void become_rebinding() {
    become_renewing();
    while (client.state() == State::kRenewing) wait();
    REQUIRE(client.state() == State::kRebinding);
  }
};

Packet with_address(Packet packet, const std::string& address) {
  packet.yiaddr = IpAddress::parse(address);
  return packet;
}

}  // namespace

TEST_CASE("dhcp client: DISCOVER, OFFER, REQUEST, ACK", "[dhcp]") {
  Table t;
  t.start();
  REQUIRE(t.client.state() == State::kSelecting);
  REQUIRE(t.sent.size() == 1);
  const Packet discover = t.sent[0];
  REQUIRE(t.ways[0].way == Send::Way::kBroadcast);
  REQUIRE(discover.type() == MessageType::kDiscover);
  REQUIRE(discover.ciaddr.is_unspecified());
  REQUIRE(discover.options.at(option::kClientId) == Bytes{0, 'k', 'e', 'y'});
  REQUIRE(discover.options.at(option::kParameterList) == Bytes{121, 1, 3});
  REQUIRE(get_text(discover.options, option::kHostName) == "pod");
  REQUIRE(get_u16(discover.options, option::kMaxMessageSize) == 1500);
  REQUIRE_FALSE(discover.broadcast);

  t.answer(MessageType::kOffer);
  REQUIRE(t.client.state() == State::kRequesting);
  REQUIRE(t.sent.size() == 1);
  const Packet request = t.sent[0];
  REQUIRE(request.type() == MessageType::kRequest);
  REQUIRE(request.xid == discover.xid);
  REQUIRE(request.secs == discover.secs);
  REQUIRE(get_address(request.options, option::kRequestedAddress) == kOffered);
  REQUIRE(get_address(request.options, option::kServerId) == kServer);
  REQUIRE(request.ciaddr.is_unspecified());

  t.answer(MessageType::kAck);
  REQUIRE(t.client.state() == State::kBound);
  REQUIRE(t.gained == 1);
  REQUIRE(t.sent.empty());
  REQUIRE(t.client.lease()->address == kOffered);
  REQUIRE(t.client.lease()->sender == kServerMac);
  REQUIRE(t.client.next() == t.now + seconds(1800));
  REQUIRE_FALSE(t.client.is_listening());
}

TEST_CASE("dhcp client: the waits for an offer double from 4 to 64 s, a second more or less",
          "[dhcp]") {
  Table t;
  t.start();
  for (const int expected : {4, 8, 16, 32, 64, 64, 64}) {
    const Time before = t.now;
    const std::uint32_t xid = t.sent[0].xid;
    t.wait();
    CAPTURE(expected, (t.now - before).count());
    REQUIRE(t.now - before >= seconds(expected - 1));
    REQUIRE(t.now - before <= seconds(expected + 1));
    REQUIRE(t.sent.size() == 1);
    REQUIRE(t.sent[0].type() == MessageType::kDiscover);
    REQUIRE(t.sent[0].xid == xid);
    REQUIRE(t.sent[0].secs > 0);
  }
  REQUIRE(t.client.trouble() == "no answer from a DHCP server");
}

TEST_CASE("dhcp client: two clients do not wait equally long", "[dhcp]") {
  Client one(settings(), 1);
  Client two(settings(), 2);
  one.start(seconds(1));
  two.start(seconds(1));
  REQUIRE(one.next() != two.next());
}

TEST_CASE("dhcp client: no answer to the request: four tries, then another server", "[dhcp]") {
  Table t;
  t.start();
  t.answer(MessageType::kOffer);
  for (int i = 1; i < 4; ++i) {
    t.wait();
    REQUIRE(t.sent.at(0).type() == MessageType::kRequest);
  }
  t.wait();
  REQUIRE(t.sent.at(0).type() == MessageType::kDiscover);
  REQUIRE_THAT(t.client.trouble(), contains("10.0.0.254 offered 10.0.0.17"));
}

TEST_CASE("dhcp client: what is not for us is passed over", "[dhcp]") {
  Table t;
  t.start();
  const Packet good = reply_to(t.sent[0], MessageType::kOffer);
  std::vector<Packet> others(8, good);
  others[0].xid ^= 1U;
  others[1].chaddr = kServerMac;
  others[2].op = Packet::Op::kRequest;
  others[3].options[option::kClientId] = {0, 'o', 't', 'h'};  // RFC 6842
  others[4].options.erase(option::kServerId);
  others[5].yiaddr = {};
  others[6].yiaddr = IpAddress::parse("224.0.0.1");
  others[7].set_type(MessageType::kDiscover);
  for (const Packet& packet : others) {
    t.receive(packet);
    REQUIRE(t.client.state() == State::kSelecting);
    REQUIRE(t.sent.empty());
  }
  Packet echoed = good;
  echoed.options[option::kClientId] = settings().client_id;
  t.receive(echoed);
  REQUIRE(t.client.state() == State::kRequesting);
}

TEST_CASE("dhcp client: two servers: the first offer counts, the other's ACK and NAK do not",
          "[dhcp]") {
  Table t;
  t.start();
  Packet other = reply_to(t.sent[0], MessageType::kOffer);
  put_address(other.options, option::kServerId, IpAddress::parse("10.0.0.253"));
  other.yiaddr = IpAddress::parse("10.0.0.99");
  t.answer(MessageType::kOffer);
  const Packet request = t.sent.at(0);
  t.receive(other);
  REQUIRE(t.sent.empty());
  for (const MessageType type : {MessageType::kAck, MessageType::kNak}) {
    other.set_type(type);
    t.receive(other);
    REQUIRE(t.client.state() == State::kRequesting);
  }
  t.receive(reply_to(request, MessageType::kAck));
  REQUIRE(t.client.lease()->address == kOffered);
}

TEST_CASE("dhcp client: NAK: at once from the start, then with growing pauses", "[dhcp]") {
  Table t;
  t.start();
  t.answer(MessageType::kOffer);
  Packet nak = reply_to(t.sent.at(0), MessageType::kNak);
  nak.options[option::kMessage] = bytes_of("wrong network");
  t.receive(nak);
  REQUIRE(t.sent.at(0).type() == MessageType::kDiscover);
  REQUIRE(t.lost.empty());
  REQUIRE(t.client.trouble() ==
          R"(the DHCP server 10.0.0.254 rejected the request: "wrong network")");
  Time pause{};
  for (int i = 0; i < 4; ++i) {
    t.answer(MessageType::kOffer);
    t.answer(MessageType::kNak);
    REQUIRE(t.client.state() == State::kInit);
    REQUIRE(t.client.next() - t.now > pause);
    pause = t.client.next() - t.now;
    t.wait();
    REQUIRE(t.sent.at(0).type() == MessageType::kDiscover);
  }
}

TEST_CASE("dhcp client: RENEWING asks the server itself, REBINDING everybody", "[dhcp]") {
  Table t;
  t.become_renewing();
  const Packet renewal = t.sent.at(0);
  REQUIRE(t.ways[0].way == Send::Way::kRouted);
  REQUIRE(t.ways[0].source == kOffered);
  REQUIRE(t.ways[0].destination == kServer);
  REQUIRE(renewal.type() == MessageType::kRequest);
  REQUIRE(renewal.ciaddr == kOffered);
  REQUIRE(renewal.options.count(option::kRequestedAddress) == 0);
  REQUIRE(renewal.options.count(option::kServerId) == 0);
  REQUIRE(t.client.has_address());
  // T1 1800, T2 3150, end 3600: half of what is left, but at least a minute.
  std::vector<Time> times{t.now};
  while (t.client.state() == State::kRenewing) {
    t.wait();
    times.push_back(t.now);
  }
  REQUIRE(times.at(1) - times[0] == seconds(675));
  REQUIRE(times.back() - times[0] == seconds(1350));
  for (std::size_t i = 1; i + 1 < times.size(); ++i) {
    REQUIRE(times[i] - times[i - 1] >= seconds(60));
  }
  REQUIRE(t.client.state() == State::kRebinding);
  REQUIRE(t.ways.at(0).way == Send::Way::kBroadcast);
  REQUIRE(t.sent[0].ciaddr == kOffered);
  REQUIRE(t.sent[0].options.count(option::kServerId) == 0);
  REQUIRE(t.client.has_address());
}

TEST_CASE("dhcp client: a renewal counts from when it was asked for", "[dhcp]") {
  Table t;
  t.become_renewing();
  const Time asked = t.now;
  t.now += seconds(3);
  t.answer(MessageType::kAck);
  REQUIRE(t.client.state() == State::kBound);
  REQUIRE(t.gained == 1);
  REQUIRE(t.client.next() == asked + seconds(1800));
  const auto first_xid = t.sent;
  t.wait();
  REQUIRE(t.client.state() == State::kRenewing);
}

TEST_CASE("dhcp client: another server renews in REBINDING, not in RENEWING", "[dhcp]") {
  const bool rebinding = GENERATE(false, true);
  Table t;
  if (rebinding) {
    t.become_rebinding();
  } else {
    t.become_renewing();
  }
  Packet ack = reply_to(t.sent.at(0), MessageType::kAck);
  put_address(ack.options, option::kServerId, IpAddress::parse("10.0.0.253"));
  t.receive(ack);
  REQUIRE((t.client.state() == State::kBound) == rebinding);
  if (rebinding) REQUIRE(t.client.lease()->server == IpAddress::parse("10.0.0.253"));
}

TEST_CASE("dhcp client: nobody renews: the address goes, another is looked for", "[dhcp]") {
  Table t;
  t.become_rebinding();
  const Time end = t.client.lease()->expiry;
  while (t.client.state() == State::kRebinding) t.wait();
  REQUIRE(t.now == end);
  REQUIRE(t.lost.size() == 1);
  REQUIRE_THAT(t.lost[0], contains("the lease ended"));
  REQUIRE_FALSE(t.client.lease());
  REQUIRE(t.client.state() == State::kSelecting);
  REQUIRE(t.sent.at(0).type() == MessageType::kDiscover);
}

TEST_CASE("dhcp client: NAK while bound: the address goes at once", "[dhcp]") {
  const bool rebinding = GENERATE(false, true);
  Table t;
  if (rebinding) {
    t.become_rebinding();
  } else {
    t.become_renewing();
  }
  t.answer(MessageType::kNak);
  REQUIRE(t.lost.size() == 1);
  REQUIRE(t.client.state() == State::kSelecting);
  t.answer(MessageType::kOffer);
  t.answer(MessageType::kAck);
  REQUIRE(t.gained == 1);
}

TEST_CASE("dhcp client: another address in a renewal", "[dhcp]") {
  Table t;
  t.become_renewing();
  t.receive(with_address(reply_to(t.sent.at(0), MessageType::kAck), "10.0.0.18"));
  REQUIRE(t.lost.size() == 1);
  REQUIRE(t.gained == 1);
  REQUIRE(t.client.lease()->address == IpAddress::parse("10.0.0.18"));
}

TEST_CASE("dhcp client: the machine slept over T1, T2 or the end", "[dhcp]") {
  struct Case {
    int slept;
    State state;
  };
  const auto c = GENERATE(values<Case>({{1799, State::kBound},
                                        {1800, State::kRenewing},
                                        {3149, State::kRenewing},
                                        {3150, State::kRebinding},
                                        {3600, State::kSelecting},
                                        {999999, State::kSelecting}}));
  Table t;
  t.become_bound();
  t.now += seconds(c.slept);
  t.client.tick(t.now);
  t.look();
  CAPTURE(c.slept);
  REQUIRE(t.client.state() == c.state);
  REQUIRE(t.sent.size() == (c.state == State::kBound ? 0 : 1));
  REQUIRE(t.client.next() > t.now);
}

TEST_CASE("dhcp client: a lease without end needs nothing more", "[dhcp]") {
  Table t;
  t.start();
  t.answer(MessageType::kOffer);
  Packet ack = reply_to(t.sent.at(0), MessageType::kAck);
  put_u32(ack.options, option::kLeaseTime, 0xffffffff);
  t.receive(ack);
  REQUIRE(t.client.state() == State::kBound);
  REQUIRE(t.client.next() == kNever);
  t.client.tick(t.now + std::chrono::hours(24 * 365));
  t.look();
  REQUIRE(t.sent.empty());
}

TEST_CASE("dhcp client: a server whose leases last a moment is not flooded", "[dhcp]") {
  Table t;
  t.start();
  t.answer(MessageType::kOffer);
  Packet ack = reply_to(t.sent.at(0), MessageType::kAck);
  put_u32(ack.options, option::kLeaseTime, 1);
  put_u32(ack.options, option::kRenewalTime, 0);
  put_u32(ack.options, option::kRebindingTime, 0);
  t.receive(ack);
  REQUIRE(t.client.next() >= t.now + seconds(5));
}

TEST_CASE("dhcp client: resumed in its first life's times", "[dhcp]") {
  Table first;
  first.become_bound();
  const Lease lease = *first.client.lease();
  struct Case {
    int later;
    State state;
    std::size_t sent;
  };
  const auto c = GENERATE(values<Case>({{10, State::kBound, 0}, {2000, State::kRenewing, 1}}));
  Table t;
  t.now = first.now + seconds(c.later);
  t.client.resume(t.now, lease);
  t.client.tick(t.now);
  t.look();
  REQUIRE(t.client.state() == c.state);
  REQUIRE(t.sent.size() == c.sent);
  REQUIRE(t.client.lease() == lease);
}

TEST_CASE("dhcp client: a lease that ended meanwhile is asked for again (INIT-REBOOT)", "[dhcp]") {
  Table first;
  first.become_bound();
  Table t;
  t.now = first.now + seconds(4000);
  t.client.resume(t.now, *first.client.lease());
  t.look();
  REQUIRE(t.client.state() == State::kRebooting);
  const Packet request = t.sent.at(0);
  REQUIRE(t.ways[0].way == Send::Way::kBroadcast);
  REQUIRE(request.type() == MessageType::kRequest);
  REQUIRE(get_address(request.options, option::kRequestedAddress) == kOffered);
  REQUIRE(request.options.count(option::kServerId) == 0);
  REQUIRE(request.ciaddr.is_unspecified());

  SECTION("granted") {
    t.answer(MessageType::kAck);
    REQUIRE(t.client.state() == State::kBound);
    REQUIRE(t.lost.empty());
    REQUIRE(t.client.next() == t.now + seconds(1800));
  }
  SECTION("refused") {
    t.answer(MessageType::kNak);
    REQUIRE(t.lost.size() == 1);
    REQUIRE(t.client.state() == State::kSelecting);
  }
  SECTION("no answer") {
    for (int i = 0; i < 3; ++i) t.wait();
    REQUIRE(t.lost.empty());
    t.wait();
    REQUIRE(t.lost.size() == 1);
    REQUIRE(t.client.state() == State::kSelecting);
  }
}

TEST_CASE("dhcp client: RELEASE", "[dhcp]") {
  Table t;
  t.become_bound();
  t.client.stop(t.now);
  t.look();
  REQUIRE(t.client.state() == State::kStopped);
  REQUIRE(t.sent.size() == 1);
  const Send& send = t.ways[0];
  REQUIRE(send.way == Send::Way::kDirect);
  REQUIRE(send.source == kOffered);
  REQUIRE(send.destination == kServer);
  REQUIRE(send.next_hop == kServerMac);
  REQUIRE(send.packet.ciaddr == kOffered);
  REQUIRE(send.packet.options == Options{{option::kMessageType, {7}},
                                         {option::kServerId, {10, 0, 0, 254}},
                                         {option::kClientId, settings().client_id}});
  REQUIRE(t.client.next() == kNever);
}

TEST_CASE("dhcp client: stopped before it has anything: nothing to give back", "[dhcp]") {
  Table t;
  t.start();
  t.client.stop(t.now);
  t.look();
  REQUIRE(t.sent.empty());
}

TEST_CASE("dhcp client: stopped while the ACK is on its way: given back nevertheless", "[dhcp]") {
  Table t;
  t.start();
  t.answer(MessageType::kOffer);
  t.client.stop(t.now);
  t.look();
  REQUIRE(t.sent.at(0).type() == MessageType::kRelease);
  REQUIRE(t.sent[0].ciaddr == kOffered);
  REQUIRE(t.ways[0].destination == kServer);
}

TEST_CASE("dhcp client: the address is looked for before it is used", "[dhcp]") {
  const Probing probing = GENERATE(Probing::kFast, Probing::kFull);
  Settings s = settings();
  s.probing = probing;
  Table t(s);
  t.start();
  t.answer(MessageType::kOffer);
  t.answer(MessageType::kAck);
  REQUIRE(t.client.state() == State::kProbing);
  REQUIRE(t.gained == 0);
  REQUIRE(t.probes == std::vector{kOffered});

  SECTION("nobody has it") {
    std::size_t probes = 1;
    const Time began = t.now;
    while (t.client.state() == State::kProbing) {
      t.wait();
      probes += t.probes.size();
    }
    REQUIRE(t.client.state() == State::kBound);
    REQUIRE(t.gained == 1);
    REQUIRE(probes == (probing == Probing::kFast ? 1 : 3));
    REQUIRE(t.now - began <= (probing == Probing::kFast ? milliseconds(250) : seconds(7)));
    t.client.conflict(t.now, kOffered);
    REQUIRE(t.client.state() == State::kBound);
  }
  SECTION("somebody has it") {
    t.client.conflict(t.now, IpAddress::parse("10.0.0.18"));
    REQUIRE(t.client.state() == State::kProbing);
    t.client.conflict(t.now, kOffered);
    t.look();
    REQUIRE(t.sent.at(0).type() == MessageType::kDecline);
    REQUIRE(t.ways[0].way == Send::Way::kBroadcast);
    REQUIRE(t.sent[0].ciaddr.is_unspecified());
    REQUIRE(get_address(t.sent[0].options, option::kRequestedAddress) == kOffered);
    REQUIRE(get_address(t.sent[0].options, option::kServerId) == kServer);
    REQUIRE_FALSE(t.client.lease());
    REQUIRE_THAT(t.client.trouble(), contains("another machine"));
    REQUIRE(t.client.next() - t.now >= seconds(10));
    t.wait();
    REQUIRE(t.sent.at(0).type() == MessageType::kDiscover);
  }
}

TEST_CASE("dhcp client: the broadcast flag, and not where the address is there", "[dhcp]") {
  Settings s = settings();
  s.broadcast = true;
  Table t(s);
  t.start();
  REQUIRE(t.sent[0].broadcast);
  t.answer(MessageType::kOffer);
  REQUIRE(t.sent.at(0).broadcast);
  t.answer(MessageType::kAck);
  t.wait();
  REQUIRE_FALSE(t.sent.at(0).broadcast);
}

TEST_CASE("dhcp client: any events in any order", "[dhcp]") {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes(random() % 400);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
}
