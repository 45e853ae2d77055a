// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

namespace cni {

/// A version of the CNI specification that the suite speaks.
enum class SpecVersion : unsigned char { k010, k020, k030, k031, k040, k100, k110 };

inline constexpr SpecVersion kLatestVersion = SpecVersion::k110;
inline constexpr std::array<std::string_view, 7> kSupportedVersions = {
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

[[nodiscard]] constexpr std::string_view text(SpecVersion v) noexcept {
  return kSupportedVersions[static_cast<unsigned char>(v)];
}

/// Exact match with a supported version ("" is 0.1.0). Throws Error{kIncompatibleVersion}.
[[nodiscard]] SpecVersion parse_version(std::string_view text);
[[nodiscard]] bool is_supported(std::string_view text) noexcept;

/// Any dotted number of up to three parts, to compare versions that are not ours ("1.2.3"); missing
/// parts are 0. Throws Error{kDecode}.
struct VersionNumber {
  unsigned major_part = 0, minor_part = 0, patch = 0;
  [[nodiscard]] static VersionNumber parse(std::string_view text);
  friend auto operator<=>(const VersionNumber&, const VersionNumber&) noexcept = default;
};

}  // namespace cni
