// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "model/owner.h"

namespace cni::dhcp {
namespace {

using std::chrono::seconds;

constexpr Time kToAsk = seconds(30);
constexpr Time kBetweenLooks = seconds(30);

/// What the plugin checks too; others may call.
std::string tag_of(const rpc::Call& call) {
  if (!is_valid_name(call.container_id)) {
    throw Error(ErrorCode::kInvalidEnvironment, "invalid characters in containerID");
  }
  if (const auto problem = interface_name_problem(call.ifname)) {
    throw Error(ErrorCode::kInvalidEnvironment, problem->first, problem->second);
  }
  return Owner(parse_conf(call).name, call.container_id, call.ifname).tag();
}

}  // namespace

Server::Server(Surroundings& around, const Listener& listener)
    : around_(around), listener_(listener), next_look_(Loop::now() + kBetweenLooks) {
  around_.loop.watch(listener_.fd(), EPOLLIN, [this](std::uint32_t) { accept(); });
}

void Server::load() {
  for (const std::string& tag : around_.files.list()) {
    try {
      load(tag);
    } catch (const Error& error) {
      log::error(error.what());
    }
  }
}

void Server::load(const std::string& tag) {
  auto record = around_.files.find(tag);
  if (!record) return;
  if (record->netns.boot != boot_id()) {
    // Its container ended with the machine.
    around_.files.remove(tag);
    return;
  }
  auto session = Session::resume(around_, std::move(*record), [this] { settle(); });
  if (around_.files.is_marked(tag)) {
    session->release();
  } else {
    session->go_on();
  }
  if (!session->is_over()) sessions_[tag] = std::move(session);
}

Time Server::next() const {
  Time out = next_look_;
  for (const auto& [tag, session] : sessions_) out = std::min(out, session->next());
  for (const Waiter& waiter : waiters_) out = std::min(out, waiter.until);
  for (const auto& [fd, caller] : callers_) {
    if (!caller.asked) out = std::min(out, caller.until);
  }
  return out;
}

void Server::tick() {
  const Time now = Loop::now();
  retired_.clear();
  for (const auto& [tag, session] : sessions_) session->tick(now);
  if (now >= next_look_) {
    next_look_ = now + kBetweenLooks;
    for (const auto& [tag, session] : sessions_) session->look();
  }
  settle();
  std::vector<int> late;
  for (const auto& [fd, caller] : callers_) {
    if (!caller.asked && now >= caller.until) late.push_back(fd);
  }
  for (const int fd : late) hang_up(fd);
}

void Server::accept() {
  Fd fd = listener_.accept();
  if (!fd.valid()) return;
  const int number = fd.get();
  Caller& caller = callers_[number];
  caller.fd = std::move(fd);
  caller.until = Loop::now() + kToAsk;
  around_.loop.watch(number, EPOLLIN,
                     [this, number](std::uint32_t events) { serve(number, events); });
}

void Server::serve(int fd, std::uint32_t events) {
  const auto found = callers_.find(fd);
  if (found == callers_.end()) return;
  if ((events & EPOLLOUT) != 0) flush(fd);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(fd, found->second);
}

void Server::read(int fd, Caller& caller) {
  std::array<char, 16384> bytes{};
  const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    hang_up(fd);
    return;
  }
  try {
    caller.side.feed({bytes.data(), static_cast<std::size_t>(size)});
    while (const auto request = caller.side.next()) {
      caller.asked = true;
      answer(fd, *request);
    }
    flush(fd);
  } catch (const Error& error) {
    log::warn(error.what());
    hang_up(fd);
  }
}

/// An ADD whose caller went away has nobody who would ever DEL it.
void Server::hang_up(int fd) {
  around_.loop.forget(fd);
  callers_.erase(fd);
  std::erase_if(waiters_, [&](const Waiter& waiter) { return waiter.caller == fd; });
  settle();
}

void Server::flush(int fd) {
  const auto found = callers_.find(fd);
  if (found == callers_.end()) return;
  Caller& caller = found->second;
  caller.unsent += caller.side.take_output();
  while (!caller.unsent.empty()) {
    const ssize_t sent = ::send(fd, caller.unsent.data(), caller.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) break;  // full, or gone, which is the next event
    caller.unsent.erase(0, static_cast<std::size_t>(sent));
  }
  const bool is_rest = !caller.unsent.empty();
  if (!is_rest && caller.side.is_over()) {
    hang_up(fd);
    return;
  }
  around_.loop.watch(fd, is_rest ? EPOLLIN | EPOLLOUT : EPOLLIN,
                     [this, fd](std::uint32_t events) { serve(fd, events); });
}

void Server::refuse(int fd, const rpc::ServerSide::Request& request, std::string_view why) {
  const auto found = callers_.find(fd);
  if (found != callers_.end()) found->second.side.refuse(request, why);
}

void Server::answer(int fd, const rpc::ServerSide::Request& request) {
  try {
    if (request.method == rpc::kAllocate) {
      allocate(fd, request);
    } else if (request.method == rpc::kRelease) {
      release(fd, request);
    } else {
      refuse(fd, request, concat("rpc: can't find method ", request.method));
    }
  } catch (const Error& error) {
    log::warn(concat(request.call.container_id, "/", request.call.ifname, ": ", error.what()));
    refuse(fd, request, error.what());
  }
}

void Server::allocate(int fd, const rpc::ServerSide::Request& request) {
  const std::string tag = tag_of(request.call);
  const auto found = sessions_.find(tag);
  if (found != sessions_.end() && !found->second->is_of(request.call)) {
    // The same name for another container.
    found->second->release();
    forget(tag);
  }
  if (sessions_.find(tag) == sessions_.end()) {
    sessions_[tag] = Session::begin(around_, request.call, [this] { settle(); });
  }
  Time patience = around_.options.patience;
  if (request.call.patience_ms != 0) {
    const auto told = std::min<std::uint64_t>(request.call.patience_ms,
                                              static_cast<std::uint64_t>(patience.count()));
    patience = Time(static_cast<std::int64_t>(told));
  }
  waiters_.push_back(
      {.caller = fd, .request = request, .tag = tag, .until = Loop::now() + patience});
  settle();
}

void Server::release(int fd, const rpc::ServerSide::Request& request) {
  const std::string tag = tag_of(request.call);
  const auto found = sessions_.find(tag);
  if (found != sessions_.end()) {
    found->second->release();
    forget(tag);
  } else {
    around_.files.remove(tag);
  }
  callers_.at(fd).side.answer(request, {});
}

bool Server::is_waited_for(const std::string& tag) const {
  return std::ranges::any_of(waiters_, [&](const Waiter& waiter) { return waiter.tag == tag; });
}

/// Whoever still waits for it hears that it is gone.
void Server::forget(const std::string& tag) {
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    if (waiter.tag != tag) return false;
    refuse(waiter.caller, waiter.request, "the lease was given up");
    flush(waiter.caller);
    return true;
  });
  sessions_.erase(tag);
}

bool Server::settle(const Waiter& waiter) {
  const auto caller = callers_.find(waiter.caller);
  const auto session = sessions_.find(waiter.tag);
  if (caller == callers_.end() || session == sessions_.end()) return true;
  std::string why;
  try {
    if (const auto result = session->second->result()) {
      caller->second.side.answer(waiter.request, *result);
      return true;
    }
    if (session->second->is_over()) {
      why = "the container is gone";
    } else if (Loop::now() >= waiter.until) {
      why = concat("no more tries: ", session->second->client().trouble());
    }
  } catch (const Error& error) {
    why = error.what();
  }
  if (why.empty()) return false;
  refuse(waiter.caller, waiter.request, why);
  return true;
}

void Server::settle() {
  std::vector<int> answered;
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    if (!settle(waiter)) return false;
    answered.push_back(waiter.caller);
    return true;
  });
  std::vector<std::string> over;
  for (const auto& [tag, session] : sessions_) {
    // One that never had a lease lives for those who wait for it.
    const bool is_wanted = session->is_established() || is_waited_for(tag);
    if (session->is_over() || !is_wanted) over.push_back(tag);
  }
  for (const std::string& tag : over) {
    const std::unique_ptr<Session>& session = sessions_.at(tag);
    if (!session->is_over()) session->release();
    retired_.push_back(std::move(sessions_.at(tag)));
    forget(tag);
  }
  for (const int fd : answered) flush(fd);
}

}  // namespace cni::dhcp
