// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/session.h"

#include <sys/epoll.h>
#include <sys/random.h>

#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "daemon/change.h"
#include "model/owner.h"

namespace cni::dhcp {
namespace {

std::uint64_t random_seed() {
  std::uint64_t out = 0;
  if (::getrandom(&out, sizeof out, 0) != sizeof out) throw_errno("getrandom");
  return out;
}

std::string netns_path(const Surroundings& around, const rpc::Call& call) {
  return concat(around.options.host_prefix, call.netns);
}

Settings settings_of(const Surroundings& around, const LeaseRecord& record, const Config& config) {
  return {.mac = record.mac,
          .client_id = config.make_client_id(record.mac, around.machine_id),
          .parameters = config.parameters,
          .provided = config.provided,
          .broadcast = record.broadcast,
          .probing = config.probing,
          .first_wait = around.options.first_wait,
          .longest_wait = around.options.longest_wait};
}

}  // namespace

struct Session::Place {
  NetNs netns;
  netlink::Socket route;
  netlink::Link link;
};

Session::Session(Surroundings& around, LeaseRecord record, const Config& config,
                 std::function<void()> changed)
    : around_(around),
      record_(std::move(record)),
      priority_(config.priority),
      client_(settings_of(around, record_, config), random_seed()),
      changed_(std::move(changed)) {}

Session::~Session() { close_sockets(); }

std::unique_ptr<Session> Session::begin(Surroundings& around, const rpc::Call& call,
                                        std::function<void()> changed) {
  const NetConf conf = parse_conf(call);
  const Config config = Config::parse(conf, call);
  const NetNs netns = NetNs::open(netns_path(around, call));
  netlink::Socket route = netlink::Socket::open_in(netns, netlink::Socket::Protocol::kRoute);
  const auto link = netlink::find_link(route, call.ifname);
  if (!link) {
    throw Error(ErrorCode::kTryAgain,
                concat("error looking up ", quote(call.ifname), ": Link not found"));
  }
  if (!link->is_up()) {
    netlink::Message up = netlink::change_link(link->ifindex, link->name, {.up = true});
    route.transact(up);
  }
  LeaseRecord record{.tag = Owner(conf.name, call.container_id, call.ifname).tag(),
                     .network = conf.name,
                     .call = call,
                     .netns = NetNsIdentity::of(netns),
                     .ifindex = link->ifindex,
                     .mac = link->mac,
                     // The links of one ipvlan share their MAC: only broadcasts reach all.
                     .broadcast = config.has_broadcast
                                      ? config.broadcast
                                      : around.options.broadcast || link->kind == "ipvlan",
                     .lease = {}};
  std::unique_ptr<Session> out(new Session(around, std::move(record), config, std::move(changed)));
  out->client_.start(Loop::now());
  out->advance();
  return out;
}

std::unique_ptr<Session> Session::resume(Surroundings& around, LeaseRecord record,
                                         std::function<void()> changed) {
  const Config config = Config::parse(parse_conf(record.call), record.call);
  std::unique_ptr<Session> out(new Session(around, std::move(record), config, std::move(changed)));
  out->saved_ = true;
  out->client_.resume(Loop::now(), out->record_.lease);
  return out;
}

void Session::go_on() {
  look();
  if (!over_) advance();
}

std::optional<Session::Place> Session::find_place() const {
  const std::string path = netns_path(around_, record_.call);
  auto netns = NetNs::open_if_exists(path);
  if (!netns) return std::nullopt;
  const auto match = NetNsIdentity::of(*netns).compare(record_.netns);
  if (match == NetNsIdentity::Match::kOther) return std::nullopt;
  netlink::Socket route = netlink::Socket::open_in(*netns, netlink::Socket::Protocol::kRoute);
  auto link = netlink::find_link(route, record_.ifindex);
  if (!link || link->name != record_.call.ifname) return std::nullopt;
  return Place{std::move(*netns), std::move(route), std::move(*link)};
}

bool Session::is_of(const rpc::Call& call) const {
  if (netns_path(around_, call) != netns_path(around_, record_.call)) return false;
  return find_place().has_value();
}

std::optional<Result> Session::result() const {
  if (!client_.has_address()) return std::nullopt;
  return to_result(*client_.lease(), priority_);
}

void Session::tick(Time now) {
  if (over_ || now < client_.next()) return;
  client_.tick(now);
  advance();
}

void Session::look() noexcept {
  try {
    if (!over_ && !find_place()) end("the container is gone");
  } catch (const Error& error) {
    say(error.what());
  }
}

/// Does what the client wants. Failures are passed over: what was not sent is sent again by the
/// client's own clock, what was not changed stands in the log.
void Session::advance() {
  try {
    work();
  } catch (const Error& error) {
    say(error.what());
  }
}

void Session::work() {
  const std::vector<Action> actions = client_.take_actions();
  if (actions.empty() && client_.is_listening() == socket_.has_value()) return;
  auto place = find_place();
  if (!place) {
    end("the container is gone");
    return;
  }
  if (client_.is_listening()) keep_sockets(*place);
  for (const Action& action : actions) {
    try {
      act(action, *place);
    } catch (const Error& error) {
      say(error.what());
    }
  }
  if (!client_.is_listening()) close_sockets();
}

void Session::act(const Action& action, Place& place) {
  if (const auto* const message = std::get_if<Send>(&action)) {
    send(*message, place);
  } else if (const auto* const probe = std::get_if<SendProbe>(&action)) {
    arp_->probe(probe->address);
  } else if (const auto* const lost = std::get_if<Lost>(&action)) {
    say(concat("lost ", lost->lease.address.text(), ": ", lost->why));
    taken_away_ = true;
    if (saved_) take_away(place.route, place.link, to_result(lost->lease, priority_));
  } else {
    gain(place);
  }
}

void Session::send(const Send& send, const Place& place) {
  const Bytes payload = send.packet.encode();
  const Datagram datagram{.source = send.source,
                          .destination = send.destination,
                          .source_port = kClientPort,
                          .destination_port = kServerPort,
                          .payload = payload};
  switch (send.way) {
    case Send::Way::kBroadcast: {
      Datagram everybody = datagram;
      everybody.destination = IpAddress::v4(0xffffffff);
      send_below_ip(everybody, kEverybody, place);
      break;
    }
    case Send::Way::kRouted:
      try {
        place.netns.run_from(around_.home, [&] {
          udp_ = open_udp(send.source, record_.call.ifname);
          send_udp(udp_, send.destination, payload);
        });
      } catch (const Error& error) {
        // Somebody took the address or the port away.
        say(error.what());
        send_below_ip(datagram, client_.lease()->sender, place);
      }
      break;
    case Send::Way::kDirect:
      send_below_ip(datagram, send.next_hop.is_zero() ? kEverybody : send.next_hop, place);
      break;
  }
}

/// Over the socket that listens, or one for this alone.
void Session::send_below_ip(const Datagram& datagram, const Mac& to, const Place& place) {
  if (socket_) {
    socket_->send(datagram, to);
    return;
  }
  place.netns
      .run_from(around_.home, [&] { return PacketSocket::open(record_.ifindex, record_.mac); })
      .send(datagram, to);
}

void Session::keep_sockets(const Place& place) {
  const bool probing = client_.state() == State::kProbing;
  place.netns.run_from(around_.home, [&] {
    if (!socket_) {
      socket_ = PacketSocket::open(record_.ifindex, record_.mac);
      around_.loop.watch(socket_->fd(), EPOLLIN, [this](std::uint32_t) { hear(); });
    }
    if (probing && !arp_) {
      arp_ = ArpSocket::open(record_.ifindex, record_.mac);
      around_.loop.watch(arp_->fd(), EPOLLIN, [this](std::uint32_t) { hear_arp(); });
    }
  });
}

void Session::close_sockets() noexcept {
  if (socket_) around_.loop.forget(socket_->fd());
  if (arp_) around_.loop.forget(arp_->fd());
  socket_.reset();
  arp_.reset();
  udp_.reset();
}

void Session::hear() {
  while (socket_) {
    const auto received = socket_->receive();
    if (!received) break;
    client_.receive(Loop::now(), received->packet, received->sender);
    advance();
  }
  changed_();
}

void Session::hear_arp() {
  if (client_.lease()) {
    const IpAddress address = client_.lease()->address;
    if (arp_->hears_of(address)) client_.conflict(Loop::now(), address);
  }
  advance();
  changed_();
}

/// The file first: whoever is told of the lease can rely on it.
void Session::gain(Place& place) {
  const Result now = to_result(*client_.lease(), priority_);
  const bool is_renewal = saved_ && record_.lease.address == client_.lease()->address;
  const Lease before = std::exchange(record_.lease, *client_.lease());
  around_.files.save(record_);
  if (!saved_) {
    saved_ = true;
    say(concat("leased ", now.ips.at(0).address.text(), " from ", record_.lease.server.text()));
    return;
  }
  say(concat(is_renewal ? "renewed " : "changed to ", now.ips.at(0).address.text()));
  const Result then = to_result(before, priority_);
  if (std::exchange(taken_away_, false) || then != now) {
    change(place.route, place.link, then, now);
  }
}

void Session::release() {
  close_sockets();
  try {
    const auto place = find_place();
    client_.stop(Loop::now());
    for (const Action& action : client_.take_actions()) {
      const auto* const message = std::get_if<Send>(&action);
      if (message == nullptr) continue;
      if (place) {
        send(*message, *place);
      } else {
        // The link is gone; perhaps the server can be reached from here.
        send_udp(open_udp({}, {}), message->destination, message->packet.encode());
      }
      say(concat("released ", message->source.text()));
    }
  } catch (const Error& error) {
    // A release that gets lost is what servers are used to: the lease ends by itself.
    say(error.what());
  }
  over_ = true;
  around_.files.remove(record_.tag);
}

void Session::end(std::string_view why) {
  say(why);
  if (saved_) {
    try {
      release();
    } catch (const Error& error) {
      say(error.what());
    }
  }
  close_sockets();
  over_ = true;
}

void Session::say(std::string_view text) const {
  log::info(concat(record_.call.container_id, "/", record_.network, "/", record_.call.ifname, ": ",
                   text));
}

}  // namespace cni::dhcp
