// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lease.h"
#include "packet.h"

/// A DHCP client for one interface as a state machine (RFC 2131, figure 5). Pure: events and the
/// time go in, actions and the time of the next event come out.
namespace cni::dhcp {

/// Whether an address is looked for on the link before it is used (RFC 5227).
enum class Probing : std::uint8_t {
  kOff,
  kFast,  // one question, a quarter of a second
  kFull,  // as the RFC has it, four to seven seconds
};

struct Settings {
  Mac mac;
  Bytes client_id;         // option 61
  Bytes parameters;        // option 55, in this order; none: not sent
  Options provided;        // sent with every message but RELEASE and DECLINE
  bool broadcast = false;  // answers cannot reach our MAC before the address is there
  Probing probing = Probing::kOff;
  Time first_wait = std::chrono::seconds(4);  // for an answer; doubles with every try
  Time longest_wait = std::chrono::seconds(64);
};

enum class State : std::uint8_t {
  kInit,  // about to begin, or waiting before another beginning
  kSelecting,
  kRequesting,
  kProbing,
  kBound,
  kRenewing,
  kRebinding,
  kRebooting,
  kStopped,
};
[[nodiscard]] std::string_view text(State state) noexcept;

/// A message to be sent.
struct Send {
  enum class Way : std::uint8_t {
    kBroadcast,  // from 0.0.0.0 to all on the link, below IP
    kRouted,     // from the leased address to the server, as the kernel would send it
    kDirect,     // the same, but in a frame to Lease::sender: it waits for nothing
  };
  Packet packet;
  Way way = Way::kBroadcast;
  IpAddress source, destination;  // unless broadcast
  Mac next_hop;                   // for kDirect
};
/// An ARP question for the address, from nobody (a probe).
struct SendProbe {
  IpAddress address;
};
/// lease() is new: granted, or granted again with what may be other options or another address.
struct Gained {};
/// The address of lease() as it was must not be used any more.
struct Lost {
  Lease lease;
  std::string why;
};
using Action = std::variant<Send, SendProbe, Gained, Lost>;

class Client {
 public:
  /// `seed` is for transaction ids and for what spreads clients in time.
  Client(Settings settings, std::uint64_t seed);

  /// Looks for a server and a lease.
  void start(Time now);
  /// Has this lease already, from an earlier life. One that is over meanwhile is asked for by
  /// INIT-REBOOT, so that the address stays if it can.
  void resume(Time now, Lease lease);
  /// Gives the lease back, and what has been asked for. No more events.
  void stop(Time now);

  void receive(Time now, const Packet& packet, const Mac& sender);
  /// Somebody else speaks as this address, or asks for it as we do.
  void conflict(Time now, const IpAddress& address);
  /// To be called at next() or later.
  void tick(Time now);

  /// kNever: only events from outside can change anything.
  [[nodiscard]] Time next() const noexcept { return timer_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  /// Bound, or trying to stay so.
  [[nodiscard]] bool has_address() const noexcept;
  /// Whether answers can arrive: with none expected nobody need listen.
  [[nodiscard]] bool is_listening() const noexcept;
  [[nodiscard]] const std::optional<Lease>& lease() const noexcept { return lease_; }
  /// Why there is no lease yet, for errors.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  /// What is to be done since the last call.
  [[nodiscard]] std::vector<Action> take_actions();

 private:
  [[nodiscard]] std::uint32_t random();
  [[nodiscard]] Time spread(Time wait);
  [[nodiscard]] Packet make(MessageType type, Time now) const;
  void send_broadcast(Packet packet);
  void retry_later(Time now);

  void discover(Time now);
  void send_request(Time now);
  void reboot(Time now);
  void renew(Time now);
  void rebind(Time now);
  void keep(Time now);
  void ask_again(Time now, Time until);
  void probe(Time now);
  void bind(Time now);
  void lose(Time now, std::string why);
  void begin_again(Time now);

  void receive_offer(Time now, const Packet& packet);
  void receive_ack(Time now, const Packet& packet, const Mac& sender);
  void receive_nak(Time now, const Packet& packet);
  [[nodiscard]] bool is_for_us(const Packet& packet) const;

  Settings settings_;
  std::uint64_t random_state_;
  State state_ = State::kInit;
  Time timer_ = kNever;
  Time began_{};  // of this acquisition: the field secs
  Time asked_{};  // when the last request was sent
  std::uint32_t xid_ = 0;
  unsigned tries_ = 0;
  unsigned refusals_ = 0;         // in a row: NAK, conflicts
  IpAddress offered_, offering_;  // the address, the server
  std::optional<Lease> lease_;
  std::string trouble_ = "no answer from a DHCP server";
  std::vector<Action> actions_;
};

}  // namespace cni::dhcp
