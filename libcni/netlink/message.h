// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

  [[nodiscard]] nlmsghdr* raw() const noexcept { return nlmsg_hdr(message_.get()); }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }

  // The answer.
  [[nodiscard]] int error() const noexcept { return error_; }  // errno, 0: success
  [[nodiscard]] const std::string& extack() const noexcept { return extack_; }
  /// Data messages of the answer, each with its nlmsghdr.
  [[nodiscard]] const std::vector<std::string>& replies() const noexcept { return replies_; }

 private:
  friend class Socket;
  [[nodiscard]] std::size_t nest_start(int attribute);  // its offset: the message moves as it grows
  void nest_end(std::size_t start);
  void make_room(std::size_t size);
  void require(bool fits) const;

  std::unique_ptr<nl_msg, Deleter<nlmsg_free>> message_;
  std::string what_;
  std::vector<int> tolerated_;
  int error_ = 0;
  std::string extack_;
  std::vector<std::string> replies_;
  bool answered_ = false;
};

/// What one attribute says; nothing when that is nullptr. Numbers too short are absent.
class Value {
 public:
  explicit Value(const nlattr* attribute) noexcept : attribute_(attribute) {}
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept;
  [[nodiscard]] std::uint8_t u8(std::uint8_t absent = 0) const noexcept;
  [[nodiscard]] std::uint16_t u16(std::uint16_t absent = 0) const noexcept;
  [[nodiscard]] std::uint32_t u32(std::uint32_t absent = 0) const noexcept;
  [[nodiscard]] std::string text() const;

 private:
  const nlattr* attribute_;
};

/// Attributes of one level, by number; a bounds-checked view of received bytes.
class Attributes {
 public:
  Attributes(const nlattr* first, int length) noexcept : first_(first), length_(length) {}
  /// The attributes behind the fixed header of a message.
  Attributes(const nlmsghdr* message, int fixed_header) noexcept
      : first_(nlmsg_attrdata(message, fixed_header)),
        length_(nlmsg_attrlen(message, fixed_header)) {}
  explicit Attributes(const nlattr* nested) noexcept
      : first_(static_cast<const nlattr*>(nla_data(nested))), length_(nla_len(nested)) {}

  /// nullptr when absent.
  [[nodiscard]] const nlattr* find(int attribute) const noexcept;
  /// No attributes when absent.
  [[nodiscard]] Attributes nested(int attribute) const noexcept;
  [[nodiscard]] std::uint32_t u32(int attribute, std::uint32_t absent = 0) const noexcept;
  [[nodiscard]] std::uint32_t be32(int attribute, std::uint32_t absent = 0) const noexcept;
  [[nodiscard]] std::uint64_t be64(int attribute) const noexcept;
  [[nodiscard]] std::uint16_t u16(int attribute, std::uint16_t absent = 0) const noexcept;
  [[nodiscard]] std::uint8_t u8(int attribute, std::uint8_t absent = 0) const noexcept;
  [[nodiscard]] std::string text(int attribute) const;
  [[nodiscard]] std::span<const std::uint8_t> bytes(int attribute) const noexcept;

  template <typename F>
  void for_each(F&& visit) const {
    int rest = length_;
    for (const nlattr* a = first_; nla_ok(a, rest); a = nla_next(a, &rest)) visit(a);
  }

 private:
  const nlattr* first_;
  int length_;
};

}  // namespace cni::netlink
