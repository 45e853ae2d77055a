// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/reply.h"

namespace cni::netlink {

template <auto free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const noexcept {
    free(object);
  }
};

/// A netlink request under construction, and later its answer. `what` names it in errors. Throws
/// KernelError(EMSGSIZE) for an attribute of more than 64 KiB, which netlink cannot express.
class Message {
 public:
  Message(std::uint16_t type, unsigned flags, std::string what);

  template <typename T>
  Message& header(const T& fixed) {
    append(&fixed, sizeof fixed);
    return *this;
  }
  Message& put_u8(int attribute, std::uint8_t value);
  Message& put_u16(int attribute, std::uint16_t value);
  Message& put_u32(int attribute, std::uint32_t value);   // host byte order: rtnetlink
  Message& put_be32(int attribute, std::uint32_t value);  // network byte order: nf_tables
  Message& put_be64(int attribute, std::uint64_t value);
  Message& put_text(int attribute, std::string_view text);
  Message& put_bytes(int attribute, std::span<const std::uint8_t> bytes);
  Message& put_struct(int attribute, const void* data, std::size_t size);
  /// A nested attribute filled by `fill(message)`.
  template <typename F>
  Message& nest(int attribute, F&& fill) {
    const std::size_t start = nest_start(attribute);
    fill(*this);
    nest_end(start);
    return *this;
  }
  /// A fixed header inside a nested attribute (the peer's ifinfomsg of VETH_INFO_PEER).
  void append(const void* data, std::size_t size);

  /// This errno is no failure of the transaction; error() tells.
  Message& tolerate(int error_number) {
    tolerated_.push_back(error_number);
    return *this;
  }
  [[nodiscard]] bool tolerates(int error_number) const noexcept;
  /// What a kernel lacks that does not support the request: for the error's text.
  Message& needs(std::string feature) {
    feature_ = std::move(feature);
    return *this;
  }

  [[nodiscard]] nlmsghdr* raw() const noexcept { return nlmsg_hdr(message_.get()); }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }
  /// Throws the refusal that was the answer.
  [[noreturn]] void fail() const;

  // The answer.
  [[nodiscard]] int error() const noexcept { return error_; }  // errno, 0: success
  [[nodiscard]] const std::string& extack() const noexcept { return extack_; }
  /// Data messages of the answer, each with its nlmsghdr.
  [[nodiscard]] const std::vector<std::string>& replies() const noexcept { return replies_; }
  /// The first of them; nullopt when there is none, or the answer was an error.
  [[nodiscard]] std::optional<Reply> reply() const;

 private:
  friend class Socket;
  [[nodiscard]] std::size_t nest_start(int attribute);  // its offset: the message moves as it grows
  void nest_end(std::size_t start);
  void make_room(std::size_t size);
  void require(bool fits) const;

  std::unique_ptr<nl_msg, Deleter<nlmsg_free>> message_;
  std::string what_, feature_;
  std::vector<int> tolerated_;
  int error_ = 0;
  std::string extack_;
  std::vector<std::string> replies_;
  bool answered_ = false;
};

}  // namespace cni::netlink
