// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/message.h"

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/concat.h"
#include "base/error.h"

namespace cni::netlink {
namespace {

constexpr std::size_t kFirstSize = 512;     // bytes; most requests never grow
constexpr std::size_t kMostBytes = 0xffff;  // of an attribute, its header included

}  // namespace

Message::Message(std::uint16_t type, unsigned flags, std::string what)
    : message_(nlmsg_alloc_size(kFirstSize)), what_(std::move(what)) {
  if (!message_) throw std::bad_alloc();
  if (nlmsg_put(message_.get(), NL_AUTO_PORT, 0, type, 0,
                static_cast<int>(NLM_F_REQUEST | flags)) == nullptr) {
    throw std::bad_alloc();
  }
}

void Message::require(bool fits) const {
  if (!fits) throw KernelError(EMSGSIZE, concat(what_, ": the request does not fit a message"));
}

void Message::make_room(std::size_t size) {
  const std::size_t needed = NLMSG_ALIGN(raw()->nlmsg_len) + size + NLMSG_ALIGNTO;
  const std::size_t present = nlmsg_get_max_size(message_.get());
  if (needed <= present) return;
  if (nlmsg_expand(message_.get(), std::max(needed, present * 2)) != 0) throw std::bad_alloc();
}

void Message::append(const void* data, std::size_t size) {
  make_room(size);
  void* const room = nlmsg_reserve(message_.get(), size, NLMSG_ALIGNTO);
  require(room != nullptr);
  std::memcpy(room, data, size);
}

Message& Message::put_struct(int attribute, const void* data, std::size_t size) {
  require(sizeof(nlattr) + size <= kMostBytes);
  make_room(sizeof(nlattr) + size);
  require(nla_put(message_.get(), attribute, static_cast<int>(size), data) == 0);
  return *this;
}

Message& Message::put_u8(int attribute, std::uint8_t value) {
  return put_struct(attribute, &value, sizeof value);
}
Message& Message::put_u16(int attribute, std::uint16_t value) {
  return put_struct(attribute, &value, sizeof value);
}
Message& Message::put_u32(int attribute, std::uint32_t value) {
  return put_struct(attribute, &value, sizeof value);
}
Message& Message::put_be32(int attribute, std::uint32_t value) {
  return put_u32(attribute, htonl(value));
}
Message& Message::put_be64(int attribute, std::uint64_t value) {
  value = htobe64(value);
  return put_struct(attribute, &value, sizeof value);
}
Message& Message::put_bytes(int attribute, std::span<const std::uint8_t> bytes) {
  return put_struct(attribute, bytes.data(), bytes.size());
}
Message& Message::put_text(int attribute, std::string_view text) {
  const std::string terminated(text);
  return put_struct(attribute, terminated.c_str(), terminated.size() + 1);
}

std::size_t Message::nest_start(int attribute) {
  const std::size_t start = NLMSG_ALIGN(raw()->nlmsg_len);
  put_struct(attribute | NLA_F_NESTED, nullptr, 0);
  return start;
}

void Message::nest_end(std::size_t start) {
  // Not nla_nest_end: that drops a nest without content, which nf_tables wants to see.
  const std::size_t size = NLMSG_ALIGN(raw()->nlmsg_len) - start;
  require(size <= kMostBytes);
  void* const nest = static_cast<char*>(static_cast<void*>(raw())) + start;
  static_cast<nlattr*>(nest)->nla_len = static_cast<std::uint16_t>(size);
}

void Message::fail() const {
  const bool unsupported = error_ == EOPNOTSUPP || error_ == EPROTONOSUPPORT;
  const std::string lacking =
      unsupported && !feature_.empty() ? concat(": the kernel lacks ", feature_) : std::string();
  throw KernelError(error_, what_ + lacking, extack_);
}

bool Message::tolerates(int error_number) const noexcept {
  return std::ranges::find(tolerated_, error_number) != tolerated_.end();
}

std::optional<Reply> Message::reply() const {
  if (error_ != 0 || replies_.empty()) return std::nullopt;
  return Reply(replies_.front());
}

}  // namespace cni::netlink
