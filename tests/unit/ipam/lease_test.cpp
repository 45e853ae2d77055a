// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "lease.h"

#include "support/catch.h"

using cni::Attachment;
using cni::host_local::address_of_name;
using cni::host_local::LeaseContent;
using cni::host_local::parse_stamp;
using cni::host_local::stamp_text;

TEST_CASE("host-local lease: content is id, CR LF, interface", "[host-local]") {
  REQUIRE(LeaseContent{{"abc", "eth0"}}.text() == "abc\r\neth0");
  for (const auto* text : {"abc\r\neth0", "abc\r\neth0\n", "  abc\r\neth0\r\n\r\n", "abc\neth0"}) {
    const auto content = LeaseContent::parse(text);
    REQUIRE(content);
    REQUIRE(content->owner == Attachment{"abc", "eth0"});
  }
}

TEST_CASE("host-local lease: the old format is the id alone", "[host-local]") {
  REQUIRE(LeaseContent::parse("abc\n").value().owner == Attachment{"abc", ""});
  REQUIRE(LeaseContent{{"abc", ""}}.text() == "abc");
}

TEST_CASE("host-local lease: torn and foreign content is no lease", "[host-local]") {
  using std::string;
  for (const string& text :
       {string(), string("\r\n"), string(8, '\0'), string("abc\r\n\0\0\0", 8),
        string("\xff\xfe\x01"), string("two words"), string("a\r\nb c"),
        string("a\r\neth0\r\nmore"), string("-x\r\neth0"), string("{\"a\":1}")}) {
    REQUIRE_FALSE(LeaseContent::parse(text));
  }
}

TEST_CASE("host-local lease: only canonical addresses are lease names", "[host-local]") {
  REQUIRE(address_of_name("10.0.0.2"));
  REQUIRE(address_of_name("2001:db8::2"));
  for (const auto* name : {"lock", "last_reserved_ip.0", ".", "..", "", "10.0.0.02", "2001:DB8::2",
                           "2001:db8:0::2", "::ffff:10.0.0.1", "10.0.0.2.bak", "10.0.0", "abc"}) {
    REQUIRE_FALSE(address_of_name(name));
  }
}

TEST_CASE("host-local lease: stamps survive writing and reading", "[host-local]") {
  const cni::NetNsIdentity netns{"0123456789abcdef", 4026532567, 42};
  REQUIRE(stamp_text(netns) == "2 0123456789abcdef:4026532567:42");
  const auto back = parse_stamp(stamp_text(netns));
  REQUIRE(back);
  REQUIRE(back->text() == netns.text());
  REQUIRE(parse_stamp("1 0123456789abcdef 4026532567").value().text() ==
          "0123456789abcdef:4026532567:0");
  for (const auto* text :
       {"", "1 ", "2 ", "2 0123456789abcdef 5", "1 0123456789abcdef:5", "1 0123456789abcdef ",
        "1 0123 5", "1 0123456789abcdeg 5", "1 0123456789abcdef 5x", "2 :5:5",
        "2 0123456789abcdef:5", "3 0123456789abcdef:5:5"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_stamp(text));
  }
}
