// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/version.h"

#include "base/error.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::ErrorCode;
using cni::SpecVersion;
using cni::VersionNumber;

TEST_CASE("version: every supported one is read and written", "[version]") {
  for (const std::string_view version : cni::kSupportedVersions) {
    REQUIRE(cni::text(cni::parse_version(version)) == version);
    REQUIRE(cni::is_supported(version));
  }
  REQUIRE(cni::parse_version("") == SpecVersion::k010);
  REQUIRE(cni::parse_version("1.1.0") == cni::kLatestVersion);
  REQUIRE(SpecVersion::k031 < SpecVersion::k040);
}

TEST_CASE("version: only the exact text is supported", "[version]") {
  const auto* text = GENERATE("1.1", "1.2.0", "v1.0.0", "1.0.0 ", "0.5.0", "x");
  REQUIRE_FALSE(cni::is_supported(text));
  const auto error = cni::test::error_of([&] { (void)cni::parse_version(text); });
  REQUIRE(error.code() == ErrorCode::kIncompatibleVersion);
  REQUIRE(error.msg() == "incompatible CNI versions");
  REQUIRE(error.details().find("\"0.1.0\" \"0.2.0\" \"0.3.0\" \"0.3.1\" \"0.4.0\" \"1.0.0\" "
                               "\"1.1.0\"") != std::string::npos);
}

TEST_CASE("version numbers: compared part by part", "[version]") {
  REQUIRE(VersionNumber::parse("1.10.0") > VersionNumber::parse("1.9.9"));
  REQUIRE(VersionNumber::parse("1") == VersionNumber::parse("1.0.0"));
  REQUIRE(VersionNumber::parse("1.1") == VersionNumber::parse("1.1.0"));
  REQUIRE(VersionNumber::parse("0.3.1") < VersionNumber::parse("0.4.0"));
}

TEST_CASE("version numbers: what is none", "[version]") {
  const auto* text = GENERATE("", ".", "1.", "1..0", "1.0.0.", "1.0.0.0", "a", "1.a", "-1",
                              "1.0.-1", "99999999999", "1.0.0-rc1", " 1");
  REQUIRE(cni::test::error_of([&] { (void)VersionNumber::parse(text); }).code() ==
          ErrorCode::kDecode);
}
