// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/version.h"

#include <algorithm>
#include <charconv>

#include "base/concat.h"
#include "base/error.h"

namespace cni {

SpecVersion parse_version(std::string_view version) {
  if (version.empty()) return SpecVersion::k010;
  const auto found = std::ranges::find(kSupportedVersions, version);
  if (found != kSupportedVersions.end()) {
    return static_cast<SpecVersion>(found - kSupportedVersions.begin());
  }
  std::string list;
  for (const std::string_view supported : kSupportedVersions) {
    list += concat(list.empty() ? "" : " ", quote(supported));
  }
  throw Error(ErrorCode::kIncompatibleVersion, "incompatible CNI versions",
              concat("config is ", quote(version), ", plugin supports [", list, "]"));
}

bool is_supported(std::string_view version) noexcept {
  return std::ranges::find(kSupportedVersions, version) != kSupportedVersions.end();
}

VersionNumber VersionNumber::parse(std::string_view version) {
  unsigned parts[3] = {};
  std::string_view rest = version;
  for (std::size_t i = 0; !rest.empty() || i == 0; ++i) {
    const auto dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const auto [end, error] =
        std::from_chars(part.data(), part.data() + part.size(), parts[std::min<std::size_t>(i, 2)]);
    const bool last = dot == std::string_view::npos;
    if (i > 2 || part.empty() || error != std::errc{} || end != part.data() + part.size() ||
        dot + 1 == rest.size()) {
      throw Error(ErrorCode::kDecode, concat("cniVersion: not a version: ", quote(version)));
    }
    rest.remove_prefix(last ? rest.size() : dot + 1);
  }
  return {parts[0], parts[1], parts[2]};
}

}  // namespace cni
