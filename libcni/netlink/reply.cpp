// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/reply.h"

#include <arpa/inet.h>
#include <endian.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "base/concat.h"
#include "base/error.h"

namespace cni::netlink {
namespace {

/// The number as it stands in the attribute; `absent` when that is missing or too short.
template <typename T>
T number(std::span<const std::uint8_t> data, T absent) noexcept {
  T value = absent;
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return value;
}

}  // namespace

std::span<const std::uint8_t> Value::bytes() const noexcept {
  if (attribute_ == nullptr) return {};
  return {static_cast<const std::uint8_t*>(nla_data(attribute_)),
          static_cast<std::size_t>(nla_len(attribute_))};
}

std::uint8_t Value::u8(std::uint8_t absent) const noexcept { return number(bytes(), absent); }
std::uint16_t Value::u16(std::uint16_t absent) const noexcept { return number(bytes(), absent); }
std::uint32_t Value::u32(std::uint32_t absent) const noexcept { return number(bytes(), absent); }

std::string Value::text() const {
  const auto data = bytes();
  const auto end = std::ranges::find(data, std::uint8_t{0});
  return {data.begin(), end};
}

const nlattr* Attributes::find(int attribute) const noexcept {
  const nlattr* found = nullptr;
  for_each([&](const nlattr* a) {
    if (nla_type(a) == attribute) found = a;
  });
  return found;
}

Attributes Attributes::nested(int attribute) const noexcept {
  const nlattr* const found = find(attribute);
  return found == nullptr ? Attributes(static_cast<const nlattr*>(nullptr), 0) : Attributes(found);
}

std::span<const std::uint8_t> Attributes::bytes(int attribute) const noexcept {
  return Value(find(attribute)).bytes();
}

std::uint32_t Attributes::u32(int attribute, std::uint32_t absent) const noexcept {
  return Value(find(attribute)).u32(absent);
}

std::uint32_t Attributes::be32(int attribute, std::uint32_t absent) const noexcept {
  return ntohl(u32(attribute, htonl(absent)));
}

std::uint64_t Attributes::be64(int attribute) const noexcept {
  return be64toh(number(bytes(attribute), std::uint64_t{0}));
}

std::uint16_t Attributes::u16(int attribute, std::uint16_t absent) const noexcept {
  return Value(find(attribute)).u16(absent);
}

std::uint8_t Attributes::u8(int attribute, std::uint8_t absent) const noexcept {
  return Value(find(attribute)).u8(absent);
}

std::string Attributes::text(int attribute) const { return Value(find(attribute)).text(); }

Reply::Reply(const std::string& bytes) {
  const void* const data = bytes.data();
  message_ = static_cast<const nlmsghdr*>(data);
  if (bytes.size() < sizeof(nlmsghdr) || message_->nlmsg_len > bytes.size()) {
    throw KernelError(EBADMSG, concat("an answer of the kernel has ", bytes.size(), " bytes"));
  }
}

void Reply::require(std::size_t payload) const {
  if (message_->nlmsg_len >= NLMSG_HDRLEN + payload) return;
  throw KernelError(EBADMSG, concat("an answer of the kernel, type ", type(), ", has ",
                                    message_->nlmsg_len, " bytes"));
}

int errno_of(int code) noexcept {
  return code == std::numeric_limits<int>::min() ? EBADMSG : -code;
}

}  // namespace cni::netlink
