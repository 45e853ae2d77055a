// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "client.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"

namespace cni::dhcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kMaxRequests = 4;  // then another server is looked for
constexpr unsigned kMaxDoublings = 16;
constexpr Time kLeastPause = seconds(60);  // RENEWING, REBINDING (RFC 2131, section 4.4.5)
constexpr Time kAfterConflict = seconds(10);
constexpr std::uint16_t kMaxMessage = 1500;
constexpr unsigned kProbes = 3;
constexpr Time kFastProbe = milliseconds(250);
constexpr Time kBetweenProbes = milliseconds(1500), kAfterProbes = seconds(2);

}  // namespace

std::string_view text(State state) noexcept {
  constexpr std::string_view kTexts[] = {"init",     "selecting", "requesting", "probing", "bound",
                                         "renewing", "rebinding", "rebooting",  "stopped"};
  return kTexts[static_cast<std::size_t>(state)];
}

Client::Client(Settings settings, std::uint64_t seed)
    : settings_(std::move(settings)), random_state_(seed) {}

bool Client::has_address() const noexcept {
  return state_ == State::kBound || state_ == State::kRenewing || state_ == State::kRebinding;
}

bool Client::is_listening() const noexcept {
  return state_ != State::kBound && state_ != State::kStopped && state_ != State::kInit;
}

std::vector<Action> Client::take_actions() { return std::exchange(actions_, {}); }

/// splitmix64: no secret is made of it but for guessers on the link the transaction id.
std::uint32_t Client::random() {
  random_state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = random_state_;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111eb;
  return static_cast<std::uint32_t>(z ^ (z >> 31U));
}

/// The time, a quarter more or less at most, a second at most.
Time Client::spread(Time wait) {
  const Time range = std::min(wait / 4, Time(seconds(1)));
  if (range.count() == 0) return wait;
  return wait - range + Time(random() % (2 * range.count() + 1));
}

Packet Client::make(MessageType type, Time now) const {
  Packet out;
  out.xid = xid_;
  out.chaddr = settings_.mac;
  out.set_type(type);
  if (!settings_.client_id.empty()) out.options[option::kClientId] = settings_.client_id;
  if (type == MessageType::kRelease || type == MessageType::kDecline) return out;
  const auto passed = std::chrono::duration_cast<seconds>(now - began_).count();
  out.secs = static_cast<std::uint16_t>(std::clamp<std::int64_t>(passed, 0, 0xffff));
  out.broadcast = settings_.broadcast;
  put_u16(out.options, option::kMaxMessageSize, kMaxMessage);
  if (!settings_.parameters.empty()) out.options[option::kParameterList] = settings_.parameters;
  for (const auto& [code, value] : settings_.provided) out.options[code] = value;
  return out;
}

void Client::send_broadcast(Packet packet) {
  actions_.emplace_back(Send{.packet = std::move(packet)});
}

void Client::retry_later(Time now) {
  const auto factor = std::int64_t{1} << std::min(tries_, kMaxDoublings);
  timer_ = now + spread(std::min(settings_.first_wait * factor, settings_.longest_wait));
  ++tries_;
}

void Client::start(Time now) {
  began_ = now;
  tries_ = 0;
  discover(now);
}

void Client::resume(Time now, Lease lease) {
  began_ = now;
  lease_ = std::move(lease);
  if (now >= lease_->expiry) {
    reboot(now);
    return;
  }
  state_ = State::kBound;
  timer_ = lease_->t1;
}

void Client::stop(Time now) {
  const bool asked = state_ == State::kRequesting;
  const bool has = has_address() || state_ == State::kProbing;
  if (asked || (has && lease_)) {
    xid_ = random();
    Send out{.packet = make(MessageType::kRelease, now), .way = Send::Way::kDirect};
    out.source = asked ? offered_ : lease_->address;
    out.destination = asked ? offering_ : lease_->server;
    if (!asked) out.next_hop = lease_->sender;
    out.packet.ciaddr = out.source;
    put_address(out.packet.options, option::kServerId, out.destination);
    actions_.emplace_back(std::move(out));
  }
  state_ = State::kStopped;
  timer_ = kNever;
}

void Client::discover(Time now) {
  if (state_ != State::kSelecting) {
    state_ = State::kSelecting;
    xid_ = random();
    tries_ = 0;
  }
  send_broadcast(make(MessageType::kDiscover, now));
  retry_later(now);
}

void Client::send_request(Time now) {
  Packet out = make(MessageType::kRequest, now);
  put_address(out.options, option::kRequestedAddress, offered_);
  if (state_ == State::kRequesting) put_address(out.options, option::kServerId, offering_);
  asked_ = now;
  send_broadcast(std::move(out));
  retry_later(now);
}

void Client::reboot(Time now) {
  state_ = State::kRebooting;
  xid_ = random();
  tries_ = 0;
  offered_ = lease_->address;
  send_request(now);
}

/// A request that extends the lease; another follows after half of the time that is left.
void Client::ask_again(Time now, Time until) {
  asked_ = now;
  Packet out = make(MessageType::kRequest, now);
  out.ciaddr = lease_->address;
  if (state_ == State::kRenewing) {
    // Delivered to us by the address, which is there.
    out.broadcast = false;
    actions_.emplace_back(Send{.packet = std::move(out),
                               .way = Send::Way::kRouted,
                               .source = lease_->address,
                               .destination = lease_->server});
  } else {
    send_broadcast(std::move(out));
  }
  timer_ = std::min(until, now + std::max((until - now) / 2, kLeastPause));
}

void Client::renew(Time now) {
  if (state_ != State::kRenewing) {
    state_ = State::kRenewing;
    xid_ = random();
    began_ = now;
  }
  ask_again(now, lease_->t2);
}

void Client::rebind(Time now) {
  if (state_ != State::kRebinding) {
    state_ = State::kRebinding;
    xid_ = random();
  }
  ask_again(now, lease_->expiry);
}

/// The machine may have slept over any of the lease's times.
void Client::keep(Time now) {
  if (now >= lease_->expiry) {
    lose(now, "the lease ended: no DHCP server renewed it");
  } else if (now >= lease_->t2) {
    rebind(now);
  } else {
    renew(now);
  }
}

void Client::probe(Time now) {
  if (state_ != State::kProbing) {
    state_ = State::kProbing;
    tries_ = 0;
  }
  const bool fast = settings_.probing == Probing::kFast;
  if (tries_ >= (fast ? 1 : kProbes)) {
    bind(now);
    return;
  }
  ++tries_;
  actions_.emplace_back(SendProbe{lease_->address});
  if (fast) {
    timer_ = now + kFastProbe;
  } else {
    timer_ = now + (tries_ == kProbes ? kAfterProbes : spread(kBetweenProbes));
  }
}

void Client::bind(Time now) {
  if (now >= lease_->expiry) {
    lose(now, "the lease ended before it began");
    return;
  }
  state_ = State::kBound;
  timer_ = std::max(now, lease_->t1);
  refusals_ = 0;
  actions_.emplace_back(Gained{});
}

void Client::lose(Time now, std::string why) {
  if (lease_) actions_.emplace_back(Lost{*lease_, why});
  lease_.reset();
  trouble_ = std::move(why);
  begin_again(now);
}

/// The first refusal costs no time; a server that goes on refusing is not flooded.
void Client::begin_again(Time now) {
  state_ = State::kInit;
  began_ = now;
  if (refusals_++ == 0) {
    discover(now);
    return;
  }
  const auto factor = std::int64_t{1} << std::min(refusals_ - 2, kMaxDoublings);
  timer_ = now + spread(std::min(Time(seconds(factor)), settings_.longest_wait));
}

void Client::tick(Time now) {
  if (now < timer_) return;
  switch (state_) {
    case State::kInit:
    case State::kSelecting:
      discover(now);
      break;
    case State::kRequesting:
      if (tries_ >= kMaxRequests) {
        trouble_ = concat("the DHCP server ", offering_.text(), " offered ", offered_.text(),
                          " and then did not answer");
        began_ = now;
        discover(now);
      } else {
        send_request(now);
      }
      break;
    case State::kRebooting:
      if (tries_ >= kMaxRequests) {
        lose(now, "the lease ended while nobody could renew it");
      } else {
        send_request(now);
      }
      break;
    case State::kProbing:
      probe(now);
      break;
    case State::kBound:
    case State::kRenewing:
    case State::kRebinding:
      keep(now);
      break;
    case State::kStopped:
      break;
  }
}

bool Client::is_for_us(const Packet& packet) const {
  if (packet.op != Packet::Op::kReply || packet.xid != xid_ || packet.chaddr != settings_.mac) {
    return false;
  }
  // A server that knows RFC 6842 repeats the client's identifier.
  const auto id = packet.options.find(option::kClientId);
  return id == packet.options.end() || settings_.client_id.empty() ||
         id->second == settings_.client_id;
}

void Client::receive(Time now, const Packet& packet, const Mac& sender) {
  if (!is_listening() || !is_for_us(packet)) return;
  const auto type = packet.type();
  if (type == MessageType::kOffer) receive_offer(now, packet);
  if (type == MessageType::kAck) receive_ack(now, packet, sender);
  if (type == MessageType::kNak) receive_nak(now, packet);
}

void Client::receive_offer(Time now, const Packet& packet) {
  const auto server = get_address(packet.options, option::kServerId);
  if (state_ != State::kSelecting || !server || server->is_unspecified() ||
      packet.yiaddr.is_unspecified() || packet.yiaddr.is_multicast() ||
      packet.yiaddr.is_loopback()) {
    return;
  }
  offered_ = packet.yiaddr;
  offering_ = *server;
  state_ = State::kRequesting;
  tries_ = 0;
  send_request(now);
}

void Client::receive_ack(Time now, const Packet& packet, const Mac& sender) {
  if (state_ == State::kSelecting || state_ == State::kProbing) return;
  auto granted = Lease::of(packet, sender, asked_);
  if (!granted || (state_ == State::kRequesting && granted->server != offering_) ||
      (state_ == State::kRenewing && granted->server != lease_->server)) {
    return;
  }
  if (has_address() && granted->address != lease_->address) {
    actions_.emplace_back(Lost{*lease_, "the DHCP server gave another address"});
  }
  const bool is_new = state_ == State::kRequesting;
  lease_ = std::move(granted);
  if (is_new && settings_.probing != Probing::kOff) {
    probe(now);
  } else {
    bind(now);
  }
}

void Client::receive_nak(Time now, const Packet& packet) {
  if (state_ == State::kSelecting || state_ == State::kProbing) return;
  const auto server = get_address(packet.options, option::kServerId);
  if ((state_ == State::kRequesting && server != offering_) ||
      (state_ == State::kRenewing && server != lease_->server)) {
    return;
  }
  const std::string said = get_text(packet.options, option::kMessage);
  lose(now, concat("the DHCP server", server ? concat(" ", server->text()) : "",
                   " rejected the request", said.empty() ? "" : concat(": ", quote(said))));
}

void Client::conflict(Time now, const IpAddress& address) {
  if (state_ != State::kProbing || address != lease_->address) return;
  xid_ = random();
  Packet out = make(MessageType::kDecline, now);
  put_address(out.options, option::kRequestedAddress, lease_->address);
  put_address(out.options, option::kServerId, lease_->server);
  send_broadcast(std::move(out));
  trouble_ = concat("the DHCP server gave ", lease_->address.text(),
                    ", which another machine on the link uses");
  lease_.reset();
  state_ = State::kInit;
  timer_ = now + kAfterConflict;
}

}  // namespace cni::dhcp
