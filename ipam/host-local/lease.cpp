// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "lease.h"

#include <algorithm>
#include <charconv>

#include "base/concat.h"

namespace cni::host_local {
namespace {

constexpr std::string_view kFirstVersion = "1 ";
constexpr std::string_view kVersion = "2 ";
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

std::string stamp_text(const NetNsIdentity& netns) { return concat(kVersion, netns.text()); }

std::optional<NetNsIdentity> parse_stamp(std::string_view text) {
  const bool first = text.starts_with(kFirstVersion);
  if (!first && !text.starts_with(kVersion)) return std::nullopt;
  std::string identity(text.substr(kVersion.size()));
  if (first) {
    const auto blank = identity.find(' ');
    if (blank == identity.npos) return std::nullopt;
    identity[blank] = ':';
    identity += ":0";
  }
  auto out = NetNsIdentity::parse(identity);
  if (out && out->boot.empty()) out.reset();
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

Brief brief_of(const Lease& lease, std::string_view boot) {
  Brief out{.address = lease.address, .made = lease.made};
  if (!lease.regular) {
    out.origin = kNoFile;
  } else if (!lease.stamp) {
    out.origin = lease.owner ? kNoStamp : kTorn;
  } else if (boot.empty()) {
    out.origin = kThisBoot;
  } else if (lease.stamp->boot != boot) {
    out.origin = kOtherBoot;
  } else {
    out.origin = std::max(lease.stamp->inode, kThisBoot);
    out.cookie = lease.stamp->cookie;
  }
  return out;
}

std::optional<IpAddress> address_of_name(std::string_view name) {
  // Cheap refusal of "lock" and "last_reserved_ip.0" before the parser.
  if (name.find_first_not_of("0123456789abcdef.:") != name.npos) return std::nullopt;
  const auto address = IpAddress::try_parse(name);
  if (!address || address->text() != name) return std::nullopt;
  return address;
}

}  // namespace cni::host_local
