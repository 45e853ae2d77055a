// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Go's encoding/gob, as much of it as calls of the DHCP daemon need: booleans, integers, bytes,
/// strings, slices, structures. Pure.
namespace cni::dhcp::gob {

struct Value;
using List = std::vector<Value>;
using Fields = std::map<std::string, Value, std::less<>>;

/// Bytes and strings are both std::string. A field with the zero value is absent.
struct Value {
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, std::string, List, Fields> data;

  // The value as this type; its zero where it is of another.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::int64_t integer() const;
  [[nodiscard]] const List& list() const;
  /// Of a structure.
  [[nodiscard]] const Value& operator[](std::string_view field) const;
  friend bool operator==(const Value&, const Value&) = default;
};

/// What is told about a type before its first value.
struct Type {
  enum class Kind : std::uint8_t { kBool, kInt, kUint, kBytes, kString, kSlice, kStruct };
  Kind kind;
  std::string_view name = {};
  const Type* element = nullptr;                                      // of a slice
  std::vector<std::pair<std::string_view, const Type*>> fields = {};  // of a structure
};

/// One direction of a connection.
class Encoder {
 public:
  /// The structure as messages, with the definitions that the other side has not seen yet.
  [[nodiscard]] std::string encode(const Type& type, const Value& value);

 private:
  std::int64_t define(const Type& type, std::string& out);
  std::map<const Type*, std::int64_t> ids_;
};

inline constexpr std::size_t kMaxMessage = 4U << 20;

class Decoder {
 public:
  void feed(std::string_view bytes) { pending_ += bytes; }
  /// The next value that is there as a whole. Throws Error{kDecode} for what is not gob, or longer
  /// than kMaxMessage.
  [[nodiscard]] std::optional<Value> next();

  struct Definition {
    Type::Kind kind = Type::Kind::kStruct;
    std::int64_t element = 0;
    std::vector<std::pair<std::string, std::int64_t>> fields;
  };

 private:
  std::optional<std::string> next_message();
  void define(std::int64_t id, const Value& wire_type);

  std::string pending_;
  std::map<std::int64_t, Definition> types_;
};

}  // namespace cni::dhcp::gob
