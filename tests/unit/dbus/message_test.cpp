// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "dbus/message.h"

#include "base/concat.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::ErrorCode;
using cni::test::error_of;
using namespace cni::dbus;  // NOLINT(google-build-using-namespace): what is tested

namespace {

/// A message as a bus sends it, with four-byte numbers in the given order.
class Writer {
 public:
  explicit Writer(bool little) : little_(little) {}
  Writer& number(std::uint32_t value) {
    pad(4);
    for (unsigned i = 0; i < 4; ++i) {
      out_ += static_cast<char>(value >> 8 * (little_ ? i : 3 - i) & 0xffU);
    }
    return *this;
  }
  Writer& text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out_ += value;
    out_ += '\0';
    return *this;
  }
  Writer& byte(unsigned value) {
    out_ += static_cast<char>(value);
    return *this;
  }
  Writer& signature(std::string_view value) {
    byte(static_cast<unsigned>(value.size()));
    out_ += value;
    return byte(0);
  }
  Writer& pad(std::size_t to) {
    while (out_.size() % to != 0) out_ += '\0';
    return *this;
  }
  Writer& raw(std::string_view value) {
    out_ += value;
    return *this;
  }
  [[nodiscard]] const std::string& out() const { return out_; }

 private:
  bool little_;
  std::string out_;
};

std::string message(bool little, Received::Type type, std::string_view signature,
                    const Writer& body, std::string_view error = {}) {
  Writer fields(little);
  fields.byte(5).signature("u").number(7);
  if (!error.empty()) fields.pad(8).byte(4).signature("s").text(error);
  fields.pad(8).byte(7).signature("s").text(":1.5");
  fields.pad(8).byte(8).signature("g").signature(signature);
  Writer out(little);
  out.byte(little ? 'l' : 'B').byte(type).byte(0).byte(1);
  out.number(static_cast<std::uint32_t>(body.out().size())).number(99);
  out.number(static_cast<std::uint32_t>(fields.out().size())).raw(fields.out()).pad(8);
  return out.raw(body.out()).out();
}

}  // namespace

TEST_CASE("dbus: a call in the bytes of the specification", "[dbus]") {
  using namespace std::string_view_literals;
  const std::string sent = encode({"d.e", "/p", "i.f", "M", {"ab", ""}}, 258);
  const std::string wanted(
      "l\1\2\1\x0d\0\0\0\2\1\0\0\x48\0\0\0"
      "\1\1o\0\2\0\0\0/p\0\0\0\0\0\0"
      "\2\1s\0\3\0\0\0i.f\0\0\0\0\0"
      "\3\1s\0\1\0\0\0M\0\0\0\0\0\0\0"
      "\6\1s\0\3\0\0\0d.e\0\0\0\0\0"
      "\x8\1g\0\2ss\0"
      "\2\0\0\0ab\0\0\0\0\0\0\0"sv);
  CHECK(sent == wanted);
  CHECK(message_bytes(sent) == sent.size());
}

TEST_CASE("dbus: answers in both byte orders", "[dbus]") {
  const bool little = GENERATE(true, false);
  Writer truth(little);
  truth.number(1);
  const Received flag = decode(message(little, Received::kReturn, "b", truth));
  CHECK(flag.type == Received::kReturn);
  CHECK(flag.reply_serial == 7);
  CHECK(flag.flag == true);

  Writer texts(little);
  texts.text("one").text("two").number(5);
  const Received mixed = decode(message(little, Received::kReturn, "ssu", texts));
  CHECK(mixed.texts == std::vector<std::string>{"one", "two"});
  CHECK_FALSE(mixed.flag);

  Writer why(little);
  why.text("ZONE_CONFLICT: no");
  const Received error = decode(message(little, Received::kError, "s", why, "a.Error"));
  CHECK(error.error_name == "a.Error");
  CHECK(error.texts.at(0) == "ZONE_CONFLICT: no");
}

TEST_CASE("dbus: nothing is read beyond the end of a damaged message", "[dbus]") {
  Writer body(true);
  body.text("text");
  const std::string whole = message(true, Received::kReturn, "s", body);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(error_of([&] {
            static_cast<void>(decode(std::string_view(whole).substr(0, size)));
          }).code() == ErrorCode::kKernel);
  }
  // Every byte wrong in turn: an error, or another message; never more.
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char value : {'\0', '\1', '\x7f', '\xff'}) {
      std::string damaged = whole;
      damaged[at] = value;
      try {
        static_cast<void>(decode(damaged));
      } catch (const cni::Error& error) {
        CHECK(error.code() == ErrorCode::kKernel);
      }
    }
  }
  std::string huge = whole;
  huge[7] = '\x7f';
  CHECK(error_of([&] { static_cast<void>(message_bytes(huge)); }).code() == ErrorCode::kKernel);
}
