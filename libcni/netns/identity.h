// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "netns/netns.h"

namespace cni {

/// The first 16 hex digits of this boot's id; "" when it cannot be read.
[[nodiscard]] const std::string& boot_id();

/// Which network namespace something was made for, to be known again later. The inode number alone
/// does not tell: the kernel gives it to the next namespace as soon as this one is gone.
struct NetNsIdentity {
  enum class Match : unsigned char {
    kSame,
    kOther,
    kPossible,  // nothing speaks against it, but what both sides know is no proof
  };

  std::string boot;          // boot_id(); "": not known
  std::uint64_t inode = 0;   // 0: not known
  std::uint64_t cookie = 0;  // never given twice between two boots; 0: not known (before 5.14)

  [[nodiscard]] static NetNsIdentity of(const NetNs& netns);
  /// With nothing but the boot when the path is no network namespace.
  [[nodiscard]] static NetNsIdentity of_path(const std::string& path);

  [[nodiscard]] Match compare(const NetNsIdentity& other) const noexcept;
  /// "0123456789abcdef:4026532567:5037"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<NetNsIdentity> parse(std::string_view text);
};

}  // namespace cni
