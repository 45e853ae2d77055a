// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "lease.h"

#include <algorithm>
#include <charconv>

#include "base/concat.h"

namespace cni::host_local {
namespace {

constexpr std::string_view kVersion = "1 ";
constexpr std::size_t kBootDigits = 16;
constexpr std::size_t kMaxIfname = 15;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

/// Looser than for new attachments: older plugins took names we refuse.
bool can_be_ifname(std::string_view name) {
  return !name.empty() && name.size() <= kMaxIfname && std::ranges::none_of(name, [](char c) {
    return c == '/' || (static_cast<unsigned char>(c) <= ' ') || c == '\x7f';
  });
}

}  // namespace

Timestamp nanoseconds(const timespec& time) noexcept {
  return time.tv_sec * kSecond + time.tv_nsec;
}

timespec time_of(Timestamp time) noexcept {
  const Timestamp part = (time % kSecond + kSecond) % kSecond;  // never negative
  return {(time - part) / kSecond, part};
}

Timestamp now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return nanoseconds(time);
}

std::string Stamp::text() const { return concat(kVersion, boot, " ", netns); }

std::optional<Stamp> Stamp::parse(std::string_view text) {
  if (!text.starts_with(kVersion)) return std::nullopt;
  text.remove_prefix(kVersion.size());
  if (text.size() < kBootDigits + 2 || text[kBootDigits] != ' ') return std::nullopt;
  Stamp out;
  out.boot = text.substr(0, kBootDigits);
  if (out.boot.find_first_not_of("0123456789abcdef") != out.boot.npos) return std::nullopt;
  text.remove_prefix(kBootDigits + 1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.netns);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<LeaseContent> LeaseContent::parse(std::string_view text) {
  text = trim(text);
  const auto eol = text.find_first_of("\r\n");
  LeaseContent out;
  out.owner.container_id = text.substr(0, eol);
  if (!is_valid_name(out.owner.container_id)) return std::nullopt;
  if (eol == text.npos) return out;
  const std::string_view ifname = trim(text.substr(eol));
  if (!can_be_ifname(ifname)) return std::nullopt;
  out.owner.ifname = ifname;
  return out;
}

std::string LeaseContent::text() const {
  return owner.ifname.empty() ? owner.container_id
                              : concat(owner.container_id, "\r\n", owner.ifname);
}

Origin origin_of(const Lease& lease, std::string_view boot) {
  if (!lease.regular) return kNoFile;
  if (!lease.stamp) return lease.owner ? kNoStamp : kTorn;
  if (boot.empty()) return kThisBoot;
  if (lease.stamp->boot != boot) return kOtherBoot;
  return std::max(lease.stamp->netns, kThisBoot);
}

std::optional<IpAddress> address_of_name(std::string_view name) {
  // Cheap refusal of "lock" and "last_reserved_ip.0" before the parser.
  if (name.find_first_not_of("0123456789abcdef.:") != name.npos) return std::nullopt;
  const auto address = IpAddress::try_parse(name);
  if (!address || address->text() != name) return std::nullopt;
  return address;
}

}  // namespace cni::host_local
