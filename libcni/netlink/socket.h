// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/fd.h"
#include "netlink/message.h"
#include "netns/netns.h"

namespace cni::netlink {

/// A netlink socket. It keeps the namespace in which it was opened. Extended acknowledgements are
/// on; every failure is a KernelError with the message's name, errno and the kernel's own text.
/// Waits are bounded by the verb's Deadline.
class Socket {
 public:
  enum class Protocol : unsigned char { kRoute, kNetfilter };

  [[nodiscard]] static Socket open(Protocol protocol);
  [[nodiscard]] static Socket open_in(const NetNs& netns, Protocol protocol);

  /// Sends all messages in one system call (more than 1,024: in several) and collects every answer.
  /// The kernel works through them in order and does not stop at a failure. Throws the first
  /// failure that its message does not tolerate.
  void transact(std::span<Message* const> messages);
  void transact(Message& message);

  /// As transact, but for nf_tables batches: a failure of the first message (the frame) ends the
  /// wait.
  void transact_batch(std::span<Message* const> messages);

  /// A dump: visit is called for every object. Repeated up to 5 times when the kernel reports that
  /// the dump was interrupted by changes; visit then sees a fresh dump, announced by `restart`.
  void dump(Message& request, const std::function<void()>& restart,
            const std::function<void(const Reply&)>& visit);

  /// Joins a multicast group, to be followed by receive_event.
  void subscribe(unsigned group);
  /// The next event within the deadline; nullopt when it passed. Lost events (ENOBUFS) give an
  /// event of type NLMSG_OVERRUN: look again.
  [[nodiscard]] std::optional<std::string> receive_event();

 private:
  explicit Socket(Fd fd) noexcept : fd_(std::move(fd)) {}
  void send(std::span<Message* const> messages);
  /// One datagram; throws when the deadline passes.
  std::span<const char> receive(std::string_view what);
  void collect(std::span<Message* const> messages, bool first_is_frame);

  Fd fd_;
  std::uint32_t sequence_ = 1;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace cni::netlink
