// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "dbus/message.h"

#include "base/error.h"

namespace cni::dbus {
namespace {

constexpr unsigned char kProtocolVersion = 1, kNoAutoStart = 2;
constexpr std::size_t kMaxBytes = 1U << 20;
enum Field : unsigned char {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSignature = 8
};

std::size_t aligned(std::size_t at, std::size_t to) { return (at + to - 1) / to * to; }

[[noreturn]] void malformed() {
  throw Error(ErrorCode::kKernel, "the message bus sent something that is no D-Bus message");
}

void pad(std::string& out, std::size_t to) { out.resize(aligned(out.size(), to)); }

void put_number(std::string& out, std::uint32_t value) {
  pad(out, sizeof value);
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>(value >> shift & 0xffU);
  }
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, static_cast<std::uint32_t>(text.size()));
  out += text;
  out += '\0';
}

void put_signature(std::string& out, std::string_view signature) {
  out += static_cast<char>(signature.size());
  out += signature;
  out += '\0';
}

/// An entry of the header's array: its number, and a variant.
void put_field(std::string& out, Field field, char type, std::string_view value) {
  pad(out, 8);
  out += static_cast<char>(field);
  put_signature(out, std::string_view(&type, 1));
  if (type == 'g') {
    put_signature(out, value);
  } else {
    put_text(out, value);
  }
}

/// Reads values one after the other, never beyond the end.
class Reader {
 public:
  Reader(std::string_view bytes, bool little, std::size_t at = 0)
      : bytes_(bytes), little_(little), at_(at) {}

  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  void align(std::size_t to) { at_ = aligned(at_, to); }

  unsigned char byte() {
    need(1);
    return static_cast<unsigned char>(bytes_[at_++]);
  }
  std::uint32_t number() {
    align(4);
    need(4);
    std::uint32_t out = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const auto value = static_cast<unsigned char>(bytes_[at_ + i]);
      out |= static_cast<std::uint32_t>(value) << 8 * (little_ ? i : 3 - i);
    }
    at_ += 4;
    return out;
  }
  std::string text() { return characters(number()); }
  std::string signature() { return characters(byte()); }

 private:
  void need(std::size_t count) const {
    if (at_ > bytes_.size() || bytes_.size() - at_ < count) malformed();
  }
  std::string characters(std::size_t count) {
    need(count + 1);  // and a NUL
    std::string out(bytes_.substr(at_, count));
    at_ += count + 1;
    return out;
  }

  std::string_view bytes_;
  bool little_;
  std::size_t at_;
};

bool is_little(std::string_view begin) {
  if (begin.size() < kFixedHeaderBytes || (begin[0] != 'l' && begin[0] != 'B')) malformed();
  return begin[0] == 'l';
}

/// One entry of the header's array; the signature of the body is returned through `body`.
void read_field(Reader& reader, Received& out, std::string& body) {
  reader.align(8);
  const unsigned char field = reader.byte();
  const std::string type = reader.signature();
  if (type == "u") {
    const std::uint32_t value = reader.number();
    if (field == kReplySerial) out.reply_serial = value;
  } else if (type == "g") {
    const std::string value = reader.signature();
    if (field == kSignature) body = value;
  } else if (type == "s" || type == "o") {
    const std::string value = reader.text();
    if (field == kErrorName) out.error_name = value;
  } else {
    malformed();  // the specification knows no field of another type
  }
}

}  // namespace

std::string encode(const Call& call, std::uint32_t serial) {
  std::string body;
  for (const std::string& argument : call.arguments) put_text(body, argument);

  std::string out{'l', static_cast<char>(Received::kMethodCall), static_cast<char>(kNoAutoStart),
                  static_cast<char>(kProtocolVersion)};
  put_number(out, static_cast<std::uint32_t>(body.size()));
  put_number(out, serial);
  std::string fields;  // begins at a multiple of 8
  put_field(fields, kPath, 'o', call.path);
  put_field(fields, kInterface, 's', call.interface);
  put_field(fields, kMember, 's', call.member);
  put_field(fields, kDestination, 's', call.destination);
  if (!call.arguments.empty()) {
    put_field(fields, kSignature, 'g', std::string(call.arguments.size(), 's'));
  }
  put_number(out, static_cast<std::uint32_t>(fields.size()));
  out += fields;
  pad(out, 8);
  return out + body;
}

std::size_t message_bytes(std::string_view begin) {
  Reader reader(begin, is_little(begin), 4);
  const std::size_t body = reader.number();
  static_cast<void>(reader.number());
  const std::size_t fields = reader.number();
  if (body > kMaxBytes || fields > kMaxBytes) malformed();
  return aligned(kFixedHeaderBytes + fields, 8) + body;
}

Received decode(std::string_view bytes) {
  if (message_bytes(bytes) != bytes.size()) malformed();
  Received out;
  out.type = static_cast<unsigned char>(bytes[1]);
  const bool little = is_little(bytes);
  Reader header(bytes, little, kFixedHeaderBytes - sizeof(std::uint32_t));
  const std::size_t end = kFixedHeaderBytes + header.number();
  std::string signature;
  while (header.at() < end) read_field(header, out, signature);

  Reader body(bytes.substr(aligned(end, 8)), little);
  if (signature == "b") out.flag = body.number() != 0;
  for (const char type : signature) {
    if (type != 's') break;
    out.texts.push_back(body.text());
  }
  return out;
}

}  // namespace cni::dbus
