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

/// The number as it stands in the attribute; `absent` when that is missing or too short.
template <typename T>
T number(std::span<const std::uint8_t> data, T absent) noexcept {
  T value = absent;
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return value;
}

}  // namespace

Message::Message(std::uint16_t type, unsigned flags, std::string what, std::size_t capacity)
    : message_(nlmsg_alloc_size(capacity)), what_(std::move(what)) {
  if (!message_) throw std::bad_alloc();
  if (nlmsg_put(message_.get(), NL_AUTO_PORT, 0, type, 0,
                static_cast<int>(NLM_F_REQUEST | flags)) == nullptr) {
    throw std::bad_alloc();
  }
}

void Message::require(bool fits) const {
  if (!fits) throw KernelError(EMSGSIZE, concat(what_, ": the request does not fit a message"));
}

void Message::append(const void* data, std::size_t size) {
  void* const room = nlmsg_reserve(message_.get(), size, NLMSG_ALIGNTO);
  require(room != nullptr);
  std::memcpy(room, data, size);
}

Message& Message::put_struct(int attribute, const void* data, std::size_t size) {
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

nlattr* Message::nest_start(int attribute) {
  nlattr* const start = nla_nest_start(message_.get(), attribute);
  require(start != nullptr);
  start->nla_type |= NLA_F_NESTED;
  return start;
}

void Message::nest_end(nlattr* start) {
  // Not nla_nest_end: that drops a nest without content, which nf_tables wants to see.
  auto* const end = static_cast<char*>(nlmsg_tail(raw()));
  start->nla_len = static_cast<std::uint16_t>(end - static_cast<char*>(static_cast<void*>(start)));
}

bool Message::tolerates(int error_number) const noexcept {
  return std::ranges::find(tolerated_, error_number) != tolerated_.end();
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
  const nlattr* const found = find(attribute);
  if (found == nullptr) return {};
  return {static_cast<const std::uint8_t*>(nla_data(found)),
          static_cast<std::size_t>(nla_len(found))};
}

std::uint32_t Attributes::u32(int attribute, std::uint32_t absent) const noexcept {
  return number(bytes(attribute), absent);
}

std::uint32_t Attributes::be32(int attribute, std::uint32_t absent) const noexcept {
  return ntohl(u32(attribute, htonl(absent)));
}

std::uint64_t Attributes::be64(int attribute) const noexcept {
  return be64toh(number(bytes(attribute), std::uint64_t{0}));
}

std::uint16_t Attributes::u16(int attribute, std::uint16_t absent) const noexcept {
  return number(bytes(attribute), absent);
}

std::uint8_t Attributes::u8(int attribute, std::uint8_t absent) const noexcept {
  return number(bytes(attribute), absent);
}

std::string Attributes::text(int attribute) const {
  const auto data = bytes(attribute);
  const auto end = std::ranges::find(data, std::uint8_t{0});
  return {data.begin(), end};
}

}  // namespace cni::netlink
