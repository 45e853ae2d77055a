// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/config.h"
#include "model/ip.h"
#include "netns/identity.h"

namespace cni::host_local {

/// Nanoseconds since 1970.
using Timestamp = std::int64_t;
[[nodiscard]] Timestamp now() noexcept;
inline constexpr Timestamp kSecond = 1'000'000'000;
[[nodiscard]] Timestamp nanoseconds(const timespec& time) noexcept;
[[nodiscard]] timespec time_of(Timestamp time) noexcept;

/// The namespace a lease was made for is kept in the extended attribute "user.cnipp" of the lease
/// file, so that it lives and dies with the lease and the content stays the reference's. A lease of
/// the reference has none. "2 0123456789abcdef:4026532567:5037", or "1 0123456789abcdef 4026532567"
/// of our first versions.
[[nodiscard]] std::string stamp_text(const NetNsIdentity& netns);
[[nodiscard]] std::optional<NetNsIdentity> parse_stamp(std::string_view text);

/// What a lease file holds: container id, CR LF, interface name. Old files hold the id alone.
struct LeaseContent {
  Attachment owner;  // ifname is empty in the old format

  /// nullopt for what cannot be a lease: empty, torn, foreign. White space around is passed over,
  /// and LF alone separates too.
  [[nodiscard]] static std::optional<LeaseContent> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
};

/// A file of a network directory whose name is an address.
struct Lease {
  IpAddress address;
  std::optional<Attachment> owner;  // nullopt: torn or foreign
  std::optional<NetNsIdentity> stamp;
  Timestamp made = 0;   // mtime
  bool regular = true;  // false: a directory, a link: not ours to remove
};

/// What a lease says of the circumstances it was made in, as one number: one of these, or else the
/// inode number of a network namespace under this boot. The kernel's numbers are larger.
using Origin = std::uint64_t;
inline constexpr Origin kNoFile = 0;   // no regular file
inline constexpr Origin kTorn = 1;     // no lease, and nothing says what it was
inline constexpr Origin kNoStamp = 2;  // nothing is known
inline constexpr Origin kOtherBoot = 3;
inline constexpr Origin kThisBoot = 4;  // the namespace is not known

/// What is known of a lease without reading its file.
struct Brief {
  IpAddress address;
  Origin origin = kNoStamp;
  std::uint64_t cookie = 0;  // of the namespace, as NetNsIdentity::cookie
  Timestamp made = 0;
};
[[nodiscard]] Brief brief_of(const Lease& lease, std::string_view boot);

/// The address a file name stands for; nullopt unless it is canonical text, because only that name
/// blocks the address.
[[nodiscard]] std::optional<IpAddress> address_of_name(std::string_view name);

}  // namespace cni::host_local
