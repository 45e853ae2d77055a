// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/json.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/concat.h"
#include "base/error.h"

namespace cni {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 1000;
constexpr std::size_t kMaxShown = 60;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string dump_value(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

/// The value as it stands in the document, cut to a readable length.
std::string shown(const json& value) {
  std::string text = dump_value(value, -1);
  if (text.size() > kMaxShown) text = concat(text.substr(0, kMaxShown), "...");
  return text;
}

std::string join_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : concat(path, ".", key);
}

/// json::items() of an object, without its iterators of everything.
const json::object_t& members_of(const json& object) {
  return object.get_ref<const json::object_t&>();
}

/// The parser recurses nowhere, but printing and copying do: a document nested without limit must
/// not exhaust the stack.
void check_depth(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) {
        throw Error(ErrorCode::kDecode, concat("JSON is nested deeper than ", kMaxDepth));
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

/// Invalid UTF-8 inside strings is accepted by existing runtimes: such bytes become U+FFFD.
std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    bool valid = length != 0 && i + length <= text.size();
    for (std::size_t k = 1; valid && k < length; ++k) {
      valid = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    }
    if (valid && length >= 3) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      valid = !(lead == 0xe0 && second < 0xa0) && !(lead == 0xed && second >= 0xa0) &&
              !(lead == 0xf0 && second < 0x90) && !(lead == 0xf4 && second >= 0x90);
    }
    if (valid) {
      out.append(text.substr(i, length));
      i += length;
    } else {
      out += "\xef\xbf\xbd";
      ++i;
    }
  }
  return out;
}

bool all_ascii(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

}  // namespace

bool JsonRef::present() const noexcept { return node_ != nullptr && !node_->is_null(); }
bool JsonRef::is_object() const noexcept { return node_ != nullptr && node_->is_object(); }
bool JsonRef::is_array() const noexcept { return node_ != nullptr && node_->is_array(); }
bool JsonRef::is_string() const noexcept { return node_ != nullptr && node_->is_string(); }

JsonRef JsonRef::exact(std::string_view key) const {
  if (!present()) return {nullptr, join_path(path_, key)};
  if (!node_->is_object()) fail(concat("expected an object, got ", shown(*node_)));
  const auto found = node_->find(key);
  return {found == node_->end() ? nullptr : &*found, join_path(path_, key)};
}

JsonRef JsonRef::operator[](std::string_view key) const {
  JsonRef member = exact(key);
  if (member.node_ != nullptr || node_ == nullptr || !node_->is_object()) return member;
  for (const auto& [name, value] : members_of(*node_)) {
    if (same_ignoring_case(name, key)) return {&value, join_path(path_, name)};
  }
  return member;
}

std::vector<JsonRef> JsonRef::items() const {
  std::vector<JsonRef> out;
  if (!present()) return out;
  if (!node_->is_array()) fail(concat("expected an array, got ", shown(*node_)));
  out.reserve(node_->size());
  for (const json& element : *node_) {
    out.emplace_back(&element, concat(path_, "[", out.size(), "]"));
  }
  return out;
}

std::vector<JsonRef::Member> JsonRef::members() const {
  std::vector<Member> out;
  if (!present()) return out;
  if (!node_->is_object()) fail(concat("expected an object, got ", shown(*node_)));
  for (const auto& [name, value] : members_of(*node_)) {
    out.push_back({name, JsonRef(&value, join_path(path_, name))});
  }
  return out;
}

std::string JsonRef::string() const {
  if (!present()) fail("missing");
  if (!node_->is_string()) fail(concat("expected a string, got ", shown(*node_)));
  return node_->get<std::string>();
}

std::string JsonRef::string_or(std::string_view absent) const {
  return present() ? string() : std::string(absent);
}

bool JsonRef::bool_or(bool absent) const {
  if (!present()) return absent;
  if (!node_->is_boolean()) fail(concat("expected true or false, got ", shown(*node_)));
  return node_->get<bool>();
}

std::optional<std::int64_t> JsonRef::integer(std::int64_t min, std::int64_t max) const {
  if (!present()) return std::nullopt;
  if (!node_->is_number_integer()) fail(concat("expected an integer, got ", shown(*node_)));
  const bool huge = node_->is_number_unsigned() &&
                    node_->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  const std::int64_t value = huge ? INT64_MAX : node_->get<std::int64_t>();
  if (huge || value < min || value > max) {
    fail(concat("must be between ", min, " and ", max, ", got ", shown(*node_)));
  }
  return value;
}

std::int64_t JsonRef::int_or(std::int64_t absent, std::int64_t min, std::int64_t max) const {
  return integer(min, max).value_or(absent);
}

std::vector<std::string> JsonRef::strings() const {
  std::vector<std::string> out;
  for (const JsonRef& item : items()) out.push_back(item.string());
  return out;
}

std::string JsonRef::text() const { return node_ == nullptr ? "null" : dump_value(*node_, -1); }

void JsonRef::fail(std::string_view problem) const {
  throw Error(ErrorCode::kInvalidConfig,
              concat(path_.empty() ? "network configuration" : path_, ": ", problem));
}

Json::Json() : value_(std::make_unique<json>()) {}
Json::Json(std::string_view value) : value_(std::make_unique<json>(value)) {}
Json::Json(bool value) : value_(std::make_unique<json>(value)) {}
Json::Json(std::int64_t value) : value_(std::make_unique<json>(value)) {}
Json::Json(const std::vector<std::string>& values) : value_(std::make_unique<json>(values)) {
  if (values.empty()) *value_ = json::array();
}
Json::Json(const JsonRef& copy)
    : value_(copy.node() == nullptr ? std::make_unique<json>()
                                    : std::make_unique<json>(*copy.node())) {}
Json::Json(const Json& other) : value_(std::make_unique<json>(*other.value_)) {}
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(Json other) noexcept {
  value_.swap(other.value_);
  return *this;
}
Json::~Json() = default;

Json Json::object() {
  Json out;
  *out.value_ = json::object();
  return out;
}

Json Json::array() {
  Json out;
  *out.value_ = json::array();
  return out;
}

Json Json::parse(std::string_view text) {
  check_depth(text);
  // The library skips a byte order mark; JSON texts must not have one (RFC 8259 section 8.1).
  if (text.substr(0, 3) == "\xef\xbb\xbf") {
    throw Error(ErrorCode::kDecode, "not JSON: begins with a byte order mark");
  }
  // The library takes a NUL byte for the end of the text and ignores what follows.
  if (const auto nul = text.find('\0'); nul != text.npos) {
    throw Error(ErrorCode::kDecode, "not JSON", concat("NUL byte at offset ", nul));
  }
  std::string repaired;
  if (!all_ascii(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  Json out;
  try {
    *out.value_ = json::parse(text.begin(), text.end());
  } catch (const json::exception& error) {
    // "[json.exception.parse_error.101] parse error at ...": the bracket says nothing to a user.
    const std::string_view what = error.what();
    const auto bracket = what.find("] ");
    throw Error(ErrorCode::kDecode, "not JSON",
                std::string(bracket == what.npos ? what : what.substr(bracket + 2)));
  }
  return out;
}

std::optional<std::string> Json::find_repeated_key(std::string_view text, std::string_view key) {
  std::set<std::string> seen;
  std::optional<std::string> repeated;
  bool inside = false;
  const auto visit = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event != json::parse_event_t::key) return true;
    const auto& name = parsed.get_ref<const std::string&>();
    if (depth == 1) {
      inside = same_ignoring_case(name, key);
      seen.clear();
    } else if (depth == 2 && inside && !seen.insert(name).second) {
      repeated = name;
    }
    return true;
  };
  [[maybe_unused]] const json all = json::parse(text.begin(), text.end(), visit, false);
  return repeated;
}

Json& Json::set(std::string_view key, Json value) {
  (*value_)[std::string(key)] = std::move(*value.value_);
  return *this;
}

Json& Json::erase(std::string_view key) {
  if (value_->is_object()) value_->erase(std::string(key));
  return *this;
}

Json& Json::push(Json value) {
  value_->push_back(std::move(*value.value_));
  return *this;
}

std::size_t Json::size() const noexcept { return value_->size(); }

std::string Json::dump(int indent) const { return dump_value(*value_, indent); }

}  // namespace cni
