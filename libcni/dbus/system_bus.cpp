// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "dbus/system_bus.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"

namespace cni::dbus {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kDefaultAddress = "unix:path=/run/dbus/system_bus_socket";
constexpr std::string_view kVariable = "DBUS_SYSTEM_BUS_ADDRESS";
constexpr std::size_t kMaxLine = 16384;  // of the authentication
constexpr const char* kBus = "org.freedesktop.DBus";
constexpr const char* kBusPath = "/org/freedesktop/DBus";

std::string configured_address() {
  const char* const set = std::getenv(std::string(kVariable).c_str());
  return set == nullptr || *set == '\0' ? std::string(kDefaultAddress) : std::string(set);
}

[[noreturn]] void unusable(std::string_view address) {
  throw Error(ErrorCode::kInvalidEnvironment,
              concat(kVariable, ": not the address of a Unix socket: ", quote(address)));
}

int hex_digit(char c) {
  const std::string_view digits = "0123456789abcdef";
  const auto at = digits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c));
  return at == digits.npos ? -1 : static_cast<int>(at);
}

/// "%2f" in values of addresses.
std::string unescape(std::string_view value) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const int high = value[i] == '%' && i + 2 < value.size() ? hex_digit(value[i + 1]) : -1;
    const int low = high < 0 ? -1 : hex_digit(value[i + 2]);
    if (low < 0) {
      out += value[i];
    } else {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

/// "unix:path=/run/bus,guid=..." or "unix:abstract=name" as a socket's name.
std::pair<sockaddr_un, socklen_t> socket_name(std::string_view address) {
  constexpr std::string_view kTransport = "unix:";
  if (!address.starts_with(kTransport)) unusable(address);
  std::string_view rest = address.substr(kTransport.size());
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::string_view key = pair.substr(0, pair.find('='));
    if ((key != "path" && key != "abstract") || pair.size() == key.size()) continue;
    std::string name = unescape(pair.substr(key.size() + 1));
    if (key == "abstract") name.insert(0, 1, '\0');
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    if (name.size() >= sizeof out.sun_path) unusable(address);
    std::memcpy(out.sun_path, name.data(), name.size());
    return {out, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())};
  }
  unusable(address);
}

/// A bound for connect and send, which poll cannot wait for.
void bound_blocking(int fd, milliseconds most) {
  timeval value{};
  value.tv_sec = most.count() / 1000;
  value.tv_usec = std::max<suseconds_t>(1, most.count() % 1000 * 1000);
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value) != 0) {
    throw_errno("set the time limit of a socket");
  }
}

/// An invalid Fd when nothing listens there.
Fd open_socket(const std::string& address, milliseconds most) {
  const auto [name, size] = socket_name(address);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) throw_errno("open a Unix socket");
  bound_blocking(fd.get(), most);
  const void* const bytes = &name;
  if (::connect(fd.get(), static_cast<const sockaddr*>(bytes), size) == 0) return fd;
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) return {};
  if (errno == EAGAIN || errno == EINPROGRESS || errno == EINTR) {
    Deadline::expired(concat("the message bus at ", quote(address), " does not take connections"));
  }
  throw KernelError(errno, concat("connect to the message bus at ", quote(address)));
}

std::string hex_text(std::string_view text) {
  std::string out;
  for (const char c : text) out += hex(static_cast<unsigned char>(c), 2);
  return out;
}

}  // namespace

std::optional<SystemBus> SystemBus::connect(std::optional<milliseconds> patience) {
  std::optional<Clock::time_point> end;
  if (patience) end = Clock::now() + *patience;
  const std::string addresses = configured_address();
  std::string_view rest = addresses;
  while (!rest.empty()) {
    const std::string address(rest.substr(0, rest.find(';')));
    rest.remove_prefix(std::min(rest.size(), address.size() + 1));
    if (address.empty()) continue;
    Fd fd = open_socket(address,
                        std::min(patience.value_or(Deadline::remaining()), Deadline::remaining()));
    if (!fd.valid()) continue;
    SystemBus bus(std::move(fd), address, end);
    bus.authenticate();
    return bus;
  }
  return std::nullopt;
}

milliseconds SystemBus::remaining() const {
  if (!end_) return Deadline::remaining();
  const auto own = std::chrono::duration_cast<milliseconds>(*end_ - Clock::now());
  return std::max(milliseconds{0}, std::min(own, Deadline::remaining()));
}

void SystemBus::send(std::string_view bytes) {
  while (!bytes.empty()) {
    bound_blocking(fd_.get(), remaining());
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || remaining().count() == 0) {
      Deadline::expired(concat("the message bus at ", quote(address_), " reads nothing"));
    } else if (errno != EINTR) {
      throw KernelError(errno, concat("write to the message bus at ", quote(address_)));
    }
  }
}

void SystemBus::fill(std::size_t count) {
  while (buffer_.size() < count) {
    pollfd waited{fd_.get(), POLLIN, 0};
    const milliseconds most = remaining();
    const int ready = ::poll(&waited, 1, static_cast<int>(most.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) throw_errno("wait for the message bus");
    if (ready == 0) {
      Deadline::expired(
          concat("no answer to ", waiting_, " from the message bus at ", quote(address_)));
    }
    char chunk[4096];
    const ssize_t got = ::recv(fd_.get(), chunk, sizeof chunk, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw KernelError(errno, concat("read from the message bus at ", address_));
    if (got == 0) {
      throw Error(ErrorCode::kKernel, concat("the message bus at ", quote(address_),
                                             " hung up instead of answering ", waiting_));
    }
    buffer_.append(chunk, static_cast<std::size_t>(got));
  }
}

std::string SystemBus::read_line() {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (buffer_.size() > kMaxLine) {
      throw Error(ErrorCode::kKernel, concat("what answers at ", quote(address_), " is no bus"));
    }
    fill(buffer_.size() + 1);
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

void SystemBus::authenticate() {
  waiting_ = "authentication";
  // All at once: the bus looks at what follows when it has come so far. The user id that the kernel
  // reports of us is what counts.
  const std::string user = concat(static_cast<std::uint64_t>(::geteuid()));
  const Call hello{kBus, kBusPath, kBus, "Hello"};
  serial_ = 1;
  send(concat(std::string(1, '\0'), "AUTH EXTERNAL ", hex_text(user), "\r\nBEGIN\r\n",
              encode(hello, serial_)));
  const std::string line = read_line();
  if (!line.starts_with("OK")) {
    throw Error(ErrorCode::kKernel,
                concat("the message bus at ", quote(address_), " refused us: ", quote(line)));
  }
  waiting_ = "Hello";
  while (receive().reply_serial != serial_) {
  }
}

Received SystemBus::receive() {
  fill(kFixedHeaderBytes);
  const std::size_t bytes = message_bytes(buffer_);
  fill(bytes);
  Received out = decode(std::string_view(buffer_).substr(0, bytes));
  buffer_.erase(0, bytes);
  return out;
}

Answer SystemBus::call(const Call& call) {
  waiting_ = concat(call.interface, ".", call.member);
  send(encode(call, ++serial_));
  while (true) {
    Received received = receive();
    if (received.reply_serial != serial_) continue;  // a signal: everybody gets some
    Answer out;
    if (received.type == Received::kError) {
      out.refusal = {received.error_name, received.texts.empty() ? "" : received.texts.front()};
    } else if (received.type != Received::kReturn) {
      continue;
    }
    out.texts = std::move(received.texts);
    out.flag = received.flag;
    return out;
  }
}

bool SystemBus::has_owner(const std::string& name) {
  return call({kBus, kBusPath, kBus, "NameHasOwner", {name}}).flag.value_or(false);
}

}  // namespace cni::dbus
