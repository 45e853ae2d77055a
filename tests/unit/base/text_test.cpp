// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <limits>

#include "base/concat.h"
#include "base/hash.h"
#include "support/catch.h"

using cni::concat;
using cni::hex;
using cni::quote;

TEST_CASE("concat: joins text, characters and integers", "[concat]") {
  const std::string text = "b";
  REQUIRE(concat("a", text, std::string_view("c"), 'd', 1, -2, 3U) == "abcd1-23");
  REQUIRE(concat(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  REQUIRE(concat(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  REQUIRE(concat().empty());
}

TEST_CASE("quote: shows what could forge a line", "[concat]") {
  REQUIRE(quote("plain") == "\"plain\"");
  REQUIRE(quote("a\"b\\c") == "\"a\\\"b\\\\c\"");
  REQUIRE(quote("a\nb\x7f\x01") == "\"a\\x0ab\\x7f\\x01\"");
  REQUIRE(quote("\xc3\xa4") == "\"\\xc3\\xa4\"");
}

TEST_CASE("hex: pads to the digits asked for", "[concat]") {
  REQUIRE(hex(0) == "0");
  REQUIRE(hex(0xabc) == "abc");
  REQUIRE(hex(0xabc, 6) == "000abc");
  REQUIRE(hex(~0ULL) == "ffffffffffffffff");
}

TEST_CASE("hash: SHA-512 in hexadecimal", "[hash]") {
  REQUIRE(cni::sha512_hex("/run/netns/c1", 20) == "20b4ff582526573bbe7d");
  REQUIRE(cni::sha512_hex("", 16) == "cf83e1357eefb8bd");
  REQUIRE(cni::sha512_hex("abc", 128).size() == 128);
}
