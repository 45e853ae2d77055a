// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// New TCP connections per second: connect CLIENT-NETNS SERVER-NETNS ADDRESS PORT SECONDS. Each is
// opened, accepted and reset, one after the other, so that the time is that of the packets' way.
// The server listens on every address; a port 0 lets it choose its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "connect: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

int socket_in(const char* netns) {
  const int fd = ::open(netns, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) fail(netns);
  ::close(fd);
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (s < 0) fail("socket");
  return s;
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<in_port_t>(std::atoi(argv[4])));
  const int server = socket_in(argv[2]);
  const int on = 1;
  ::setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(server, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("bind");
  if (::listen(server, 128) != 0) fail("listen");
  ::inet_pton(AF_INET, argv[3], &to.sin_addr);
  ::close(socket_in(argv[1]));  // from here on sockets are the client's

  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration<double>(std::atof(argv[5]));
  long count = 0;
  while (Clock::now() < end) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(client, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail(argv[3]);
    const int accepted = ::accept(server, nullptr, nullptr);
    reset_on_close(client);
    ::close(client);
    ::close(accepted);
    ++count;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("%.0f\n", static_cast<double>(count) / seconds);
}
