// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cni {

/// A place in a JSON document: reads with types and names the path in every error, for example
/// `ipam.ranges[0][0].subnet: expected a string, got 5`. Refers to a Json that must outlive it.
///
/// Member look-up follows what existing configurations rely on: an exact match first, else without
/// regard to ASCII case; of duplicates the last wins; `null` counts as absent. Wrong types throw
/// Error{kInvalidConfig}.
class JsonRef {
 public:
  JsonRef() noexcept = default;  // absent
  JsonRef(const nlohmann::json* node, std::string path) : node_(node), path_(std::move(path)) {}

  /// False for an absent member and for null.
  [[nodiscard]] bool present() const noexcept;
  explicit operator bool() const noexcept { return present(); }
  /// The member is written in the document, even as null.
  [[nodiscard]] bool written() const noexcept { return node_ != nullptr; }

  [[nodiscard]] bool is_object() const noexcept;
  [[nodiscard]] bool is_array() const noexcept;
  [[nodiscard]] bool is_string() const noexcept;

  /// The member of an object; an absent JsonRef when there is none. Absent and null objects have no
  /// members; other types throw.
  [[nodiscard]] JsonRef operator[](std::string_view key) const;
  /// As operator[], but only the exact spelling.
  [[nodiscard]] JsonRef exact(std::string_view key) const;
  /// The elements of an array; none when absent.
  [[nodiscard]] std::vector<JsonRef> items() const;
  struct Member;
  /// The members of an object, sorted by key; none when absent.
  [[nodiscard]] std::vector<Member> members() const;

  // The value, or the given default when absent.
  [[nodiscard]] std::string string_or(std::string_view absent) const;
  [[nodiscard]] bool bool_or(bool absent) const;
  [[nodiscard]] std::int64_t int_or(std::int64_t absent, std::int64_t min, std::int64_t max) const;
  [[nodiscard]] std::optional<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
  [[nodiscard]] std::vector<std::string> strings() const;  // null elements throw

  // The value; throws when absent.
  [[nodiscard]] std::string string() const;

  /// For messages: "ipam.ranges[0]"; "" is the document.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Compact JSON text of this place ("null" when absent).
  [[nodiscard]] std::string text() const;
  /// Throws Error{kInvalidConfig} "<path>: <problem>".
  [[noreturn]] void fail(std::string_view problem) const;

  [[nodiscard]] const nlohmann::json* node() const noexcept { return node_; }

 private:
  const nlohmann::json* node_ = nullptr;
  std::string path_;
};

struct JsonRef::Member {
  std::string key;
  JsonRef value;
};

/// An owned JSON value: what was parsed, or what is being built for output.
class Json {
 public:
  Json();  // null
  // NOLINTBEGIN(google-explicit-constructor): a builder reads best with plain values
  Json(std::string_view value);
  Json(const std::string& value) : Json(std::string_view(value)) {}
  Json(const char* value) : Json(std::string_view(value)) {}
  Json(bool value);
  Json(std::int64_t value);
  Json(int value) : Json(std::int64_t{value}) {}
  Json(unsigned value) : Json(std::int64_t{value}) {}
  Json(const std::vector<std::string>& values);
  explicit Json(const JsonRef& copy);
  // NOLINTEND(google-explicit-constructor)
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(Json other) noexcept;
  ~Json();

  [[nodiscard]] static Json object();
  [[nodiscard]] static Json array();
  /// Throws Error{kDecode}: not JSON, trailing data, nested deeper than 1000.
  [[nodiscard]] static Json parse(std::string_view text);
  /// A key that is written twice in the object that is the member `key` of the document; nullopt
  /// when there is none. The text is one that parse() takes.
  [[nodiscard]] static std::optional<std::string> find_repeated_key(std::string_view text,
                                                                    std::string_view key);

  Json& set(std::string_view key, Json value);  // object
  Json& erase(std::string_view key);            // object
  Json& push(Json value);                       // array
  [[nodiscard]] std::size_t size() const noexcept;

  [[nodiscard]] JsonRef root() const { return {value_.get(), {}}; }
  /// Compact when indent is negative. Bytes that are not UTF-8 are replaced by U+FFFD.
  [[nodiscard]] std::string dump(int indent = -1) const;

 private:
  std::unique_ptr<nlohmann::json> value_;
};

}  // namespace cni
