// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/listener.h"
#include "daemon/session.h"
#include "rpc.h"

namespace cni::dhcp {

/// The daemon's work: the callers, the sessions, and who waits for which.
class Server {
 public:
  Server(Surroundings& around, const Listener& listener);

  /// Takes up the leases of earlier daemons, and releases what was marked meanwhile.
  void load();
  /// When the next of all clocks rings.
  [[nodiscard]] Time next() const;
  void tick();

 private:
  struct Caller {
    Fd fd;
    rpc::ServerSide side;
    std::string unsent;
    Time until{};  // it must have asked
    bool asked = false;
  };
  /// An ADD that waits for its session's lease.
  struct Waiter {
    int caller = -1;
    rpc::ServerSide::Request request;
    std::string tag;
    Time until{};
  };

  void accept();
  void serve(int fd, std::uint32_t events);
  void read(int fd, Caller& caller);
  void hang_up(int fd);
  void flush(int fd);
  void answer(int fd, const rpc::ServerSide::Request& request);
  void allocate(int fd, const rpc::ServerSide::Request& request);
  void release(int fd, const rpc::ServerSide::Request& request);
  void refuse(int fd, const rpc::ServerSide::Request& request, std::string_view why);

  void load(const std::string& tag);
  /// Answers whoever can be answered, forgets what is over.
  void settle();
  /// False when it goes on waiting.
  bool settle(const Waiter& waiter);
  void forget(const std::string& tag);
  [[nodiscard]] bool is_waited_for(const std::string& tag) const;

  Surroundings& around_;
  const Listener& listener_;
  std::map<int, Caller> callers_;
  std::vector<Waiter> waiters_;
  std::map<std::string, std::unique_ptr<Session>, std::less<>> sessions_;
  // Over, but perhaps at work on this very event.
  std::vector<std::unique_ptr<Session>> retired_;
  Time next_look_{};
};

}  // namespace cni::dhcp
