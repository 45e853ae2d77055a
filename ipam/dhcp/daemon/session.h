// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client.h"
#include "config.h"
#include "daemon/loop.h"
#include "daemon/options.h"
#include "daemon/socket.h"
#include "lease_files.h"
#include "netlink/link.h"
#include "netns/netns.h"

namespace cni::dhcp {

/// What all sessions share.
struct Surroundings {
  const NetNs& home;
  Loop& loop;
  const LeaseFiles& files;
  const DaemonOptions& options;
  std::string machine_id;
};

/// The client of one interface, with its sockets and its file. Sockets are open only while an
/// answer is expected: nothing else holds the container's namespace.
class Session {
 public:
  /// Brings the link up and begins to look for a lease. `changed` is called after what comes from
  /// the network. Throws Error.
  static std::unique_ptr<Session> begin(Surroundings& around, const rpc::Call& call,
                                        std::function<void()> changed);
  /// Has a lease of an earlier daemon; does nothing yet.
  static std::unique_ptr<Session> resume(Surroundings& around, LeaseRecord record,
                                         std::function<void()> changed);
  /// After resume(): renews where it is time to.
  void go_on();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] const std::string& tag() const noexcept { return record_.tag; }
  [[nodiscard]] const rpc::Call& call() const noexcept { return record_.call; }
  /// The same interface of the same namespace.
  [[nodiscard]] bool is_of(const rpc::Call& call) const;
  /// The lease as a result; nullopt while there is none. Throws Error when it cannot be one.
  [[nodiscard]] std::optional<Result> result() const;
  [[nodiscard]] const Client& client() const noexcept { return client_; }
  /// There is a lease, or was one: the container may use it.
  [[nodiscard]] bool is_established() const noexcept { return saved_; }
  /// The container, or its interface, is not there any more.
  [[nodiscard]] bool is_over() const noexcept { return over_; }

  [[nodiscard]] Time next() const noexcept { return client_.next(); }
  void tick(Time now);
  /// Looks whether the container is still there.
  void look() noexcept;
  /// Gives the lease back as well as can be, and removes the file. Throws only when that stays.
  void release();

 private:
  Session(Surroundings& around, LeaseRecord record, const Config& config,
          std::function<void()> changed);

  /// The namespace and in it the link, if both are those of the beginning.
  struct Place;
  [[nodiscard]] std::optional<Place> find_place() const;
  void advance();
  void work();
  void act(const Action& action, Place& place);
  void send(const Send& send, const Place& place);
  void send_below_ip(const Datagram& datagram, const Mac& to, const Place& place);
  void keep_sockets(const Place& place);
  void close_sockets() noexcept;
  void hear();
  void hear_arp();
  void gain(Place& place);
  void end(std::string_view why);
  void say(std::string_view text) const;

  Surroundings& around_;
  LeaseRecord record_;
  unsigned priority_;
  Client client_;
  std::function<void()> changed_;
  std::optional<PacketSocket> socket_;
  std::optional<ArpSocket> arp_;
  Fd udp_;
  bool over_ = false;
  bool taken_away_ = false;  // what the container had of the lease
  bool saved_ = false;       // the lease has a file, and a container may use it
};

}  // namespace cni::dhcp
