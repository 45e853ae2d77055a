// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// For libFuzzer: the DHCP client as a whole. The input is a row of events for one client: time that
// passes, packets, conflicts. Whatever they are, the client says when it wants to be called next,
// and later than now; it has an address only with a lease; its messages are DHCP messages.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "client.h"
#include "frame.h"

namespace {

using namespace cni::dhcp;

void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  explicit Input(View bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t out = bytes_[0];
    bytes_ = bytes_.subspan(1);
    return out;
  }
  View take(std::size_t size) {
    const View out = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(out.size());
    return out;
  }

 private:
  View bytes_;
};

void check_codecs(View bytes) {
  static_cast<void>(parse_datagram(bytes, Checksum::kComplete));
  const auto datagram = parse_datagram(bytes, Checksum::kUnfinished);
  const auto packet = Packet::parse(datagram ? datagram->payload : bytes);
  if (packet) require(Packet::parse(packet->encode()) == packet);
  static_cast<void>(parse_classless_routes(bytes));
  static_cast<void>(parse_domain_search(bytes));
}

/// A reply that gets past the first checks, with options of the fuzzer's making.
Packet reply(Input& input, const Packet& asked) {
  Bytes bytes = Packet{}.encode();
  bytes.resize(240);
  const View options = input.take(input.byte());
  bytes.insert(bytes.end(), options.begin(), options.end());
  Packet out = Packet::parse(bytes).value_or(Packet{});
  out.op = Packet::Op::kReply;
  out.xid = asked.xid;
  out.chaddr = asked.chaddr;
  const std::uint8_t flags = input.byte();
  out.options[option::kMessageType] = {static_cast<std::uint8_t>(flags & 7U)};
  if ((flags & 8U) != 0) out.yiaddr = cni::IpAddress::v4(0x0a000000U + input.byte());
  if ((flags & 16U) != 0) put_address(out.options, option::kServerId, cni::IpAddress::v4(1));
  return out;
}

void check_actions(Client& client, Packet& last) {
  for (const Action& action : client.take_actions()) {
    if (const auto* const send = std::get_if<Send>(&action)) {
      require(Packet::parse(send->packet.encode()) == send->packet);
      require(send->packet.type().has_value());
      last = send->packet;
    } else if (std::holds_alternative<Gained>(action)) {
      try {
        static_cast<void>(to_result(*client.lease(), 0));
      } catch (const cni::Error&) {
        // Without a mask there is no result.
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_codecs({data, size});
  Input input({data, size});
  Settings settings;
  settings.client_id = {0, 'x'};
  settings.probing = static_cast<Probing>(input.byte() % 3);
  Client client(settings, input.byte());
  Time now = std::chrono::hours(1);
  Packet last;
  client.start(now);
  while (!input.empty() && client.state() != State::kStopped) {
    check_actions(client, last);
    switch (input.byte() % 6) {
      case 0:
        if (client.next() != kNever) now = std::max(now, client.next());
        break;
      case 1:
        now += std::chrono::seconds(input.byte()) * 97;
        break;
      case 2:
      case 3:
        client.receive(now, reply(input, last), {});
        break;
      case 4:
        client.conflict(now, cni::IpAddress::v4(0x0a000000U + input.byte()));
        break;
      case 5:
        if (input.byte() == 0) client.stop(now);
        break;
    }
    client.tick(now);
    client.tick(now);  // of a lease that is due for renewal when it begins
    require(client.next() > now);
    require(!client.has_address() || client.lease().has_value());
  }
  check_actions(client, last);
  return 0;
}
