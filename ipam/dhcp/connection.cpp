// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"

namespace cni::dhcp {
namespace {

constexpr std::size_t kPiece = 16384;

[[noreturn]] void no_daemon(const std::string& path, int error) {
  throw Error(ErrorCode::kTryAgain,
              concat("error dialing DHCP daemon: connect ", quote(path), ": ",
                     std::strerror(error)),  // NOLINT(concurrency-mt-unsafe)
              "start it with: systemctl start cnipp-dhcp.socket, or: dhcp daemon");
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.size() >= sizeof out.sun_path) {
    throw Error(ErrorCode::kInvalidConfig,
                concat("path of the DHCP daemon's socket is longer than ", sizeof out.sun_path - 1,
                       " bytes: ", quote(path)));
  }
  std::ranges::copy(path, out.sun_path);
  return out;
}

}  // namespace

Connection Connection::open(const std::string& socket_path, std::chrono::milliseconds patience) {
  const sockaddr_un address = address_of(socket_path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) throw_errno("create a socket");
  const auto wait = std::clamp(patience, std::chrono::milliseconds(1),
                               std::max(Deadline::remaining(), std::chrono::milliseconds(1)))
                        .count();
  const timeval time{.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  // Waits where the daemon's queue is full.
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN) Deadline::expired("the DHCP daemon to take a call");
    if (errno != EINTR) no_daemon(socket_path, errno);
  }
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) throw_errno("fcntl");
  return {std::move(fd), socket_path, patience};
}

void Connection::wait_for(short events) {
  pollfd waiting{.fd = fd_.get(), .events = events, .revents = 0};
  for (;;) {
    const auto wait = std::min(Deadline::remaining(), patience_);
    const int ready = ::poll(&waiting, 1, static_cast<int>(wait.count()));
    if (ready > 0) return;
    if (ready == 0) Deadline::expired("the DHCP daemon's answer");
    if (ready < 0 && errno != EINTR) throw_errno("poll");
  }
}

void Connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      wait_for(POLLOUT);
    } else if (errno != EINTR) {
      no_daemon(path_, errno);
    }
  }
}

std::string Connection::receive() {
  std::string out(kPiece, '\0');
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), out.data(), out.size(), 0);
    if (size > 0) {
      out.resize(static_cast<std::size_t>(size));
      return out;
    }
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
      throw Error(ErrorCode::kTryAgain,
                  concat("the DHCP daemon at ", quote(path_), " went away during the call"),
                  "unexpected EOF");
    }
    wait_for(POLLIN);
  }
}

Result Connection::call(std::string_view method, const rpc::Call& call) {
  greet();
  send(client_.request(method, call));
  for (;;) {
    client_.feed(receive());
    if (auto answer = client_.answer()) return *answer;
  }
}

void Connection::greet() {
  send(rpc::kGreeting);
  while (!client_.is_connected()) client_.feed(receive());
}

}  // namespace cni::dhcp
