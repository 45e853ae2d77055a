// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

/// What the kernel sends, read without trust in its lengths.
namespace cni::netlink {

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
        length_(std::max(0, nlmsg_attrlen(message, fixed_header))) {}
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

/// A message from the kernel; a view.
class Reply {
 public:
  explicit Reply(const nlmsghdr* message) noexcept : message_(message) {}
  /// Of bytes that begin with the message, its nlmsghdr included. Throws as header().
  explicit Reply(const std::string& bytes);

  [[nodiscard]] std::uint16_t type() const noexcept { return message_->nlmsg_type; }
  /// The fixed header of this kind of message. Throws KernelError(EBADMSG) when the message is
  /// shorter.
  template <typename T>
  [[nodiscard]] const T& header() const {
    require(sizeof(T));
    return *static_cast<const T*>(nlmsg_data(message_));
  }
  /// The attributes behind that header; none in a message that is shorter.
  template <typename T>
  [[nodiscard]] Attributes attributes() const noexcept {
    return {message_, static_cast<int>(sizeof(T))};
  }
  /// For code that reads the message itself.
  operator const nlmsghdr*() const noexcept {  // NOLINT(google-explicit-constructor)
    return message_;
  }

 private:
  void require(std::size_t payload) const;

  const nlmsghdr* message_;
};

/// The errno of an acknowledgement: what the kernel sends is negative, or 0.
[[nodiscard]] int errno_of(int code) noexcept;

}  // namespace cni::netlink
