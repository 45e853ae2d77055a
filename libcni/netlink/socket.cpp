// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/socket.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"

namespace cni::netlink {
namespace {

constexpr int kDumpTries = 5;
// Answers wait in the socket until all requests of a send are done. Also the most parts of one.
constexpr std::size_t kAtOnce = 1024;
// The kernel fills no more of a dump into one datagram, and a single object needs far less. Small
// enough for what the C library has asked the kernel for at the start.
constexpr std::size_t kReceiveBytes = 16384;

void set_option(int fd, int option) noexcept {
  // Kernels that do not know the option answer as without it.
  const int on = 1;
  ::setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
}

/// A transaction is one datagram, and its answers stand in the queue until all of it is done.
void make_room(int fd, std::size_t bytes, std::size_t answers) noexcept {
  constexpr std::size_t kSendBytes = 100'000, kAnswers = 64;  // which the default has room for
  constexpr int kMost = 256 << 20;
  const auto raise = [&](int option, std::size_t wanted) {
    const int size = static_cast<int>(std::min<std::size_t>(wanted, kMost));
    ::setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
  };
  if (bytes > kSendBytes) raise(SO_SNDBUFFORCE, bytes * 2);
  if (answers > kAnswers) raise(SO_RCVBUFFORCE, answers * 4096);
}

/// The kernel's text from an NLMSG_ERROR or NLMSG_DONE message.
std::string extack_text(const nlmsghdr* header, std::size_t skip) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  return Attributes(header, static_cast<int>(skip)).text(NLMSGERR_ATTR_MSG);
}

}  // namespace

Socket Socket::open(Protocol protocol) {
  const int family = protocol == Protocol::kRoute ? NETLINK_ROUTE : NETLINK_NETFILTER;
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family));
  if (!fd.valid()) throw KernelError(errno, "open a netlink socket");
  set_option(fd.get(), NETLINK_EXT_ACK);
  set_option(fd.get(), NETLINK_CAP_ACK);
  if (protocol == Protocol::kRoute) set_option(fd.get(), NETLINK_GET_STRICT_CHK);
  return Socket(std::move(fd));
}

Socket Socket::open_in(const NetNs& netns, Protocol protocol) {
  return netns.run([protocol] { return open(protocol); });
}

void Socket::send(std::span<Message* const> messages) {
  std::vector<iovec> parts;
  parts.reserve(messages.size());
  std::size_t bytes = 0;
  for (Message* message : messages) {
    nlmsghdr* const header = message->raw();
    header->nlmsg_seq = sequence_++;
    header->nlmsg_pid = 0;
    message->answered_ = false;
    message->error_ = 0;
    message->extack_.clear();
    message->replies_.clear();
    // Lengths are multiples of 4: libnl pads every attribute.
    parts.push_back({header, NLMSG_ALIGN(header->nlmsg_len)});
    bytes += parts.back().iov_len;
  }
  // The kernel takes no more parts than this: then all are copied into one.
  std::string joined;
  if (parts.size() > IOV_MAX) {
    joined.reserve(bytes);
    for (const iovec& part : parts)
      joined.append(static_cast<const char*>(part.iov_base), part.iov_len);
    parts.assign(1, {joined.data(), joined.size()});
  }
  make_room(fd_.get(), bytes, messages.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  msghdr call{};
  call.msg_name = &kernel;
  call.msg_namelen = sizeof kernel;
  call.msg_iov = parts.data();
  call.msg_iovlen = parts.size();
  while (::sendmsg(fd_.get(), &call, 0) < 0) {
    if (errno != EINTR) throw KernelError(errno, concat(messages.front()->what(), ": send"));
  }
}

std::span<const char> Socket::receive(std::string_view what) {
  // Not filled with zeros: pages that no answer reaches are never touched.
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kReceiveBytes);
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.get(), kReceiveBytes, MSG_DONTWAIT | MSG_TRUNC);
    if (got > static_cast<ssize_t>(kReceiveBytes)) {
      throw KernelError(EMSGSIZE, concat(what, ": an answer of ", got, " bytes"));
    }
    if (got >= 0) return {buffer_.get(), static_cast<std::size_t>(got)};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) throw KernelError(errno, concat(what, ": receive"));
    pollfd ready{fd_.get(), POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(Deadline::remaining().count()));
    if (n == 0) Deadline::expired(concat(what, ": no answer from the kernel"));
    if (n < 0 && errno != EINTR) throw KernelError(errno, concat(what, ": wait"));
  }
}

void Socket::collect(std::span<Message* const> messages, bool first_is_frame) {
  const std::uint32_t first = messages.front()->raw()->nlmsg_seq;
  const std::string_view what = messages.front()->what();
  std::size_t open = messages.size();
  if (first_is_frame) open -= 2;  // begin and end of a batch are not acknowledged
  while (open > 0) {
    const std::span<const char> data = receive(what);
    int rest = static_cast<int>(data.size());
    auto* header = static_cast<const nlmsghdr*>(static_cast<const void*>(data.data()));
    for (; nlmsg_ok(header, rest); header = nlmsg_next(const_cast<nlmsghdr*>(header), &rest)) {
      const std::uint32_t index = header->nlmsg_seq - first;
      if (index >= messages.size()) continue;  // of an earlier request
      Message& message = *messages[index];
      if (header->nlmsg_type != NLMSG_ERROR) {
        const auto* bytes = static_cast<const char*>(static_cast<const void*>(header));
        message.replies_.emplace_back(bytes, header->nlmsg_len);
        if ((message.raw()->nlmsg_flags & NLM_F_ACK) != 0) continue;  // the ack is still to come
      } else {
        message.error_ = errno_of(Reply(header).header<nlmsgerr>().error);
        message.extack_ = extack_text(header, sizeof(nlmsgerr));
        if (first_is_frame && index == 0 && message.error_ != 0) return;
      }
      if (!message.answered_) --open;
      message.answered_ = true;
    }
  }
}

void Socket::transact(std::span<Message* const> messages) {
  for (std::size_t at = 0; at < messages.size(); at += kAtOnce) {
    const auto some = messages.subspan(at, std::min(kAtOnce, messages.size() - at));
    send(some);
    collect(some, false);
  }
  for (const Message* message : messages) {
    if (message->error() == 0 || message->tolerates(message->error())) continue;
    message->fail();
  }
}

void Socket::transact(Message& message) {
  Message* const one = &message;
  transact(std::span(&one, 1));
}

void Socket::transact_batch(std::span<Message* const> messages) {
  send(messages);
  collect(messages, true);
}

void Socket::dump(Message& request, const std::function<void()>& restart,
                  const std::function<void(const Reply&)>& visit) {
  Message* const one = &request;
  request.raw()->nlmsg_flags |= NLM_F_DUMP;
  for (int tries = 0; tries < kDumpTries; ++tries) {
    restart();
    send(std::span(&one, 1));
    bool interrupted = false;
    for (bool done = false; !done;) {
      const std::span<const char> data = receive(request.what());
      int rest = static_cast<int>(data.size());
      auto* header = static_cast<const nlmsghdr*>(static_cast<const void*>(data.data()));
      for (; nlmsg_ok(header, rest); header = nlmsg_next(const_cast<nlmsghdr*>(header), &rest)) {
        if (header->nlmsg_seq != request.raw()->nlmsg_seq) continue;
        interrupted |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
          const bool has_code = nlmsg_datalen(header) >= static_cast<int>(sizeof(int));
          const int code = has_code ? errno_of(*static_cast<const int*>(nlmsg_data(header))) : 0;
          if (code == EINTR) interrupted = true;
          if (code != 0 && code != EINTR) {
            if (request.tolerates(code)) return;
            const bool is_error = header->nlmsg_type == NLMSG_ERROR;
            throw KernelError(code, request.what(),
                              extack_text(header, is_error ? sizeof(nlmsgerr) : sizeof(int)));
          }
          done = true;
          break;
        }
        visit(Reply(header));
      }
    }
    if (!interrupted) return;
  }
  throw Error(ErrorCode::kTryAgain,
              concat(request.what(), ": interrupted by changes ", kDumpTries, " times"));
}

void Socket::subscribe(unsigned group) {
  // The kernel's events come from port 0, and so does a socket that has no port yet: the kernel
  // takes it for the sender and passes it over.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  const void* const address = &any;
  if (::bind(fd_.get(), static_cast<const sockaddr*>(address), sizeof any) != 0) {
    throw KernelError(errno, "bind a netlink socket");
  }
  if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    throw KernelError(errno, "subscribe to kernel events");
  }
}

std::optional<std::string> Socket::receive_event() {
  try {
    const std::span<const char> data = receive("wait for a kernel event");
    return std::string(data.data(), data.size());
  } catch (const KernelError& error) {
    if (error.error_number() != ENOBUFS) throw;
    nlmsghdr overrun{};
    overrun.nlmsg_len = sizeof overrun;
    overrun.nlmsg_type = NLMSG_OVERRUN;
    return std::string(static_cast<const char*>(static_cast<const void*>(&overrun)),
                       sizeof overrun);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace cni::netlink
