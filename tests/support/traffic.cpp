// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/traffic.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>

#include "base/concat.h"
#include "base/error.h"
#include "model/ip.h"
#include "support/command.h"

namespace cni::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kLine = "hello\n";

// A socket belongs to the namespace it was made in, so both ends can live in this process.
Fd make_socket(const TestNamespace& net, int type, int protocol = 0) {
  return net.run([&] {
    const int fd = ::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd < 0) throw_errno("socket");
    const int off = 0;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    return Fd(fd);
  });
}

sockaddr_in6 endpoint(std::string_view address, unsigned short port) {
  sockaddr_in6 result{};
  result.sin6_family = AF_INET6;
  result.sin6_port = htons(port);
  std::string text(address);
  if (!text.empty() && text.find(':') == std::string::npos) text.insert(0, "::ffff:");
  if (!text.empty() && ::inet_pton(AF_INET6, text.c_str(), &result.sin6_addr) != 1) {
    throw Error(ErrorCode::kInternal, concat("not an address: ", quote(address)));
  }
  return result;
}

const sockaddr* generic(const sockaddr_in6& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}
sockaddr* generic(sockaddr_in6& address) { return reinterpret_cast<sockaddr*>(&address); }

std::string text(const sockaddr_in6& address) {
  const std::span<const std::uint8_t> bytes(address.sin6_addr.s6_addr);
  const bool is_v4 = IN6_IS_ADDR_V4MAPPED(&address.sin6_addr);
  return is_v4 ? IpAddress::from_bytes(Family::kV4, bytes.last(4)).text()
               : IpAddress::from_bytes(Family::kV6, bytes).text();
}

void bind_to(const Fd& socket, unsigned short port) {
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in6 any = endpoint({}, port);
  if (::bind(socket.get(), generic(any), sizeof any) != 0) throw_errno("bind");
}

unsigned short server_port(const Path& path) {
  return path.server_port == 0 ? path.port : path.server_port;
}

// Waits until the descriptor is ready or the time has come.
bool ready(const Fd& fd, short events, Clock::time_point until) {
  pollfd entry{fd.get(), events, 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    const int n = ::poll(&entry, 1, left > 0 ? static_cast<int>(left) : 0);
    if (n >= 0) return n == 1;
    if (errno != EINTR) throw_errno("poll");
  }
}

bool pass_line(const Fd& from, const Fd& to, Clock::time_point until) {
  std::array<char, 64> buffer{};
  if (::send(from.get(), kLine.data(), kLine.size(), MSG_NOSIGNAL) < 0) return false;
  if (!ready(to, POLLIN, until)) return false;
  const auto n = ::recv(to.get(), buffer.data(), buffer.size(), 0);
  return n > 0 && std::string_view(buffer.data(), static_cast<std::size_t>(n)) == kLine;
}

std::optional<std::string> peer_seen(const Path& path, int protocol) {
  const auto until = Clock::now() + path.patience;
  const Fd listener = make_socket(path.server, SOCK_STREAM, protocol);
  bind_to(listener, server_port(path));
  if (::listen(listener.get(), 1) != 0) throw_errno("listen");

  const Fd client = make_socket(path.client, SOCK_STREAM, protocol);
  if (path.client_port != 0) bind_to(client, path.client_port);
  const sockaddr_in6 target = endpoint(path.address, path.port);
  if (::connect(client.get(), generic(target), sizeof target) != 0 && errno != EINPROGRESS) {
    return std::nullopt;
  }
  if (!ready(listener, POLLIN, until)) return std::nullopt;
  sockaddr_in6 peer{};
  socklen_t size = sizeof peer;
  const Fd server(::accept4(listener.get(), generic(peer), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!server.valid()) return std::nullopt;
  if (!ready(client, POLLOUT, until)) return std::nullopt;
  if (!pass_line(client, server, until) || !pass_line(server, client, until)) return std::nullopt;
  return text(peer);
}

}  // namespace

bool can_ping(const TestNamespace& from, std::string_view address) {
  return run({.argv = {"ping", "-n", "-q", "-c", "1", "-w", "10", std::string(address)},
              .net = &from})
      .ok();
}

std::optional<std::string> tcp_peer_seen(const Path& path) { return peer_seen(path, IPPROTO_TCP); }

std::optional<std::string> sctp_peer_seen(const Path& path) {
  return peer_seen(path, IPPROTO_SCTP);
}

bool kernel_has_sctp() {
  return Fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP)).valid();
}

std::optional<std::string> udp_peer_seen(const Path& path) {
  const auto until = Clock::now() + path.patience;
  const Fd server = make_socket(path.server, SOCK_DGRAM);
  bind_to(server, server_port(path));
  const Fd client = make_socket(path.client, SOCK_DGRAM);
  if (path.client_port != 0) bind_to(client, path.client_port);
  const sockaddr_in6 target = endpoint(path.address, path.port);
  if (::connect(client.get(), generic(target), sizeof target) != 0) return std::nullopt;

  // A datagram may be lost while an address is being resolved: send again.
  bool arrived = false;
  while (!arrived && Clock::now() < until) {
    if (::send(client.get(), kLine.data(), kLine.size(), 0) < 0) return std::nullopt;
    arrived = ready(server, POLLIN, std::min(until, Clock::now() + std::chrono::seconds(1)));
  }
  if (!arrived) return std::nullopt;
  std::array<char, 64> buffer{};
  sockaddr_in6 peer{};
  socklen_t size = sizeof peer;
  const auto n = ::recvfrom(server.get(), buffer.data(), buffer.size(), 0, generic(peer), &size);
  if (n < 0 || ::connect(server.get(), generic(peer), size) != 0) return std::nullopt;
  if (!pass_line(server, client, until)) return std::nullopt;
  return text(peer);
}

}  // namespace cni::test
