// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "gob.h"

#include <array>
#include <span>

#include "base/concat.h"
#include "base/error.h"

namespace cni::dhcp::gob {
namespace {

using Kind = Type::Kind;
using Definition = Decoder::Definition;

constexpr std::int64_t kFirstId = 65;  // the lower ones are Go's own
constexpr std::size_t kMaxTypes = 200, kMaxDepth = 20;

// Go's ids of types that are never defined. Those from 100,000 on are ours, for the definitions
// themselves, which are values too.
enum Known : std::int64_t {
  kBoolId = 1,
  kIntId = 2,
  kUintId = 3,
  kBytesId = 5,
  kStringId = 6,
  kWireTypeId = 100000,
  kCommonId,
  kSliceTypeId,
  kStructTypeId,
  kFieldId,
  kFieldsId,
};

[[noreturn]] void malformed(std::string_view what) {
  throw Error(ErrorCode::kDecode, concat("not gob: ", what));
}

const Definition* find_known(std::int64_t id) {
  static const std::map<std::int64_t, Definition> kKnown = {
      {kBoolId, {Kind::kBool, 0, {}}},
      {kIntId, {Kind::kInt, 0, {}}},
      {kUintId, {Kind::kUint, 0, {}}},
      {kBytesId, {Kind::kBytes, 0, {}}},
      {kStringId, {Kind::kString, 0, {}}},
      {kWireTypeId,
       {Kind::kStruct, 0, {{"ArrayT", 0}, {"SliceT", kSliceTypeId}, {"StructT", kStructTypeId}}}},
      {kCommonId, {Kind::kStruct, 0, {{"Name", kStringId}, {"Id", kIntId}}}},
      {kSliceTypeId, {Kind::kStruct, 0, {{"CommonType", kCommonId}, {"Elem", kIntId}}}},
      {kStructTypeId, {Kind::kStruct, 0, {{"CommonType", kCommonId}, {"Field", kFieldsId}}}},
      {kFieldId, {Kind::kStruct, 0, {{"Name", kStringId}, {"Id", kIntId}}}},
      {kFieldsId, {Kind::kSlice, kFieldId, {}}},
  };
  const auto found = kKnown.find(id);
  return found == kKnown.end() ? nullptr : &found->second;
}

void put_uint(std::string& out, std::uint64_t value) {
  if (value < 128) {
    out += static_cast<char>(value);
    return;
  }
  std::string bytes;
  for (; value != 0; value >>= 8U) bytes.insert(bytes.begin(), static_cast<char>(value & 0xffU));
  out += static_cast<char>(-static_cast<int>(bytes.size()));
  out += bytes;
}

void put_int(std::string& out, std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  put_uint(out, value < 0 ? ~bits << 1U | 1U : bits << 1U);
}

void put_text(std::string& out, std::string_view value) {
  put_uint(out, value.size());
  out += value;
}

/// The fields that Go writes: those that are not zero, and structures.
bool is_written(const Type& type, const Value& value) {
  if (type.kind == Kind::kStruct) return true;
  if (type.kind == Kind::kSlice) return !value.list().empty();
  if (type.kind == Kind::kBytes || type.kind == Kind::kString) return !value.text().empty();
  return value.integer() != 0;
}

void put_value(std::string& out, const Type& type, const Value& value) {
  switch (type.kind) {
    case Kind::kBool:
    case Kind::kUint:
      put_uint(out, static_cast<std::uint64_t>(value.integer()));
      break;
    case Kind::kInt:
      put_int(out, value.integer());
      break;
    case Kind::kBytes:
    case Kind::kString:
      put_text(out, value.text());
      break;
    case Kind::kSlice:
      put_uint(out, value.list().size());
      for (const Value& element : value.list()) put_value(out, *type.element, element);
      break;
    case Kind::kStruct: {
      std::uint64_t delta = 1;
      for (const auto& [name, field] : type.fields) {
        const Value& content = value[name];
        if (is_written(*field, content)) {
          put_uint(out, delta);
          put_value(out, *field, content);
          delta = 0;
        }
        ++delta;
      }
      put_uint(out, 0);
      break;
    }
  }
}

void put_message(std::string& out, std::string_view body) {
  put_uint(out, body.size());
  out += body;
}

/// Reads one message.
class Reader {
 public:
  Reader(std::string_view bytes, const std::map<std::int64_t, Definition>& types)
      : bytes_(bytes), types_(types) {}

  std::uint64_t get_uint() {
    const auto first = static_cast<std::uint8_t>(take(1)[0]);
    if (first < 128) return first;
    const std::size_t size = 256U - first;
    if (size > 8) malformed("a number of more than 8 bytes");
    std::uint64_t out = 0;
    for (const char c : take(size)) out = out << 8U | static_cast<std::uint8_t>(c);
    return out;
  }

  std::int64_t get_int() {
    const std::uint64_t bits = get_uint();
    return static_cast<std::int64_t>((bits & 1U) != 0 ? ~(bits >> 1U) : bits >> 1U);
  }

  Value get_value(std::int64_t id, std::size_t depth = 0) {
    if (depth > kMaxDepth) malformed("nested too deep");
    const Definition& type = find(id);
    switch (type.kind) {
      case Kind::kBool:
        return {get_uint() != 0};
      case Kind::kInt:
        return {get_int()};
      case Kind::kUint:
        return {get_uint()};
      case Kind::kBytes:
      case Kind::kString:
        return {std::string(take(get_uint()))};
      case Kind::kSlice:
        return {get_list(type, depth)};
      case Kind::kStruct:
        return {get_fields(type, depth)};
    }
    malformed("an unknown kind of type");
  }

  [[nodiscard]] bool empty() const { return bytes_.empty(); }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size()) malformed("a length beyond the end of the message");
    const std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }

  const Definition& find(std::int64_t id) const {
    if (const Definition* const known = find_known(id)) return *known;
    const auto found = types_.find(id);
    if (found == types_.end()) malformed(concat("no type ", id));
    return found->second;
  }

  List get_list(const Definition& type, std::size_t depth) {
    const std::uint64_t count = get_uint();
    // Each element takes a byte at least.
    if (count > bytes_.size()) malformed("a count beyond the end of the message");
    List out;
    for (std::uint64_t i = 0; i < count; ++i) out.push_back(get_value(type.element, depth + 1));
    return out;
  }

  Fields get_fields(const Definition& type, std::size_t depth) {
    Fields out;
    std::uint64_t next = 0;
    for (std::uint64_t delta = get_uint(); delta != 0; delta = get_uint()) {
      if (delta > type.fields.size() - next) malformed("no such field");
      next += delta;
      const auto& [name, id] = type.fields[next - 1];
      out[name] = get_value(id, depth + 1);
    }
    return out;
  }

  std::string_view bytes_;
  const std::map<std::int64_t, Definition>& types_;
};

}  // namespace

std::string Value::text() const {
  const auto* const text = std::get_if<std::string>(&data);
  return text == nullptr ? std::string() : *text;
}

std::int64_t Value::integer() const {
  if (const auto* const number = std::get_if<std::int64_t>(&data)) return *number;
  if (const auto* const number = std::get_if<std::uint64_t>(&data)) {
    return static_cast<std::int64_t>(*number);
  }
  const auto* const truth = std::get_if<bool>(&data);
  return truth != nullptr && *truth ? 1 : 0;
}

const List& Value::list() const {
  static const List kEmpty;
  const auto* const list = std::get_if<List>(&data);
  return list == nullptr ? kEmpty : *list;
}

const Value& Value::operator[](std::string_view field) const {
  static const Value kAbsent;
  const auto* const fields = std::get_if<Fields>(&data);
  if (fields == nullptr) return kAbsent;
  const auto found = fields->find(field);
  return found == fields->end() ? kAbsent : found->second;
}

/// The type's id; writes its definition, and those of its parts, when it is new.
std::int64_t Encoder::define(const Type& type, std::string& out) {
  constexpr std::array<std::int64_t, 5> kIds = {kBoolId, kIntId, kUintId, kBytesId, kStringId};
  if (type.kind < Kind::kSlice) return kIds[static_cast<std::size_t>(type.kind)];
  const auto [entry, is_new] =
      ids_.try_emplace(&type, kFirstId + static_cast<std::int64_t>(ids_.size()));
  const std::int64_t id = entry->second;
  if (!is_new) return id;

  std::string body;
  std::string parts;
  put_int(body, -id);
  const bool is_slice = type.kind == Kind::kSlice;
  put_uint(body, is_slice ? 2 : 3);  // wireType's field SliceT or StructT
  put_uint(body, 1);                 // CommonType
  if (!type.name.empty()) {
    put_uint(body, 1);
    put_text(body, type.name);
  }
  put_uint(body, type.name.empty() ? 2 : 1);
  put_int(body, id);
  put_uint(body, 0);
  if (is_slice) {
    put_uint(body, 1);
    put_int(body, define(*type.element, parts));
  } else if (!type.fields.empty()) {
    put_uint(body, 1);
    put_uint(body, type.fields.size());
    for (const auto& [name, field] : type.fields) {
      put_uint(body, 1);
      put_text(body, name);
      put_uint(body, 1);
      put_int(body, define(*field, parts));
      put_uint(body, 0);
    }
  }
  put_uint(body, 0);
  put_uint(body, 0);
  put_message(out, body);
  out += parts;
  return id;
}

std::string Encoder::encode(const Type& type, const Value& value) {
  std::string out;
  std::string body;
  put_int(body, define(type, out));
  put_value(body, type, value);
  put_message(out, body);
  return out;
}

std::optional<std::string> Decoder::next_message() {
  if (pending_.empty()) return std::nullopt;
  const auto first = static_cast<std::uint8_t>(pending_[0]);
  const std::size_t head = first < 128 ? 1 : 1 + (256U - first);
  if (head > 9) malformed("a number of more than 8 bytes");
  if (pending_.size() < head) return std::nullopt;
  const std::uint64_t size = Reader(pending_, types_).get_uint();
  if (size > kMaxMessage) malformed(concat("a message of ", size, " bytes"));
  if (pending_.size() - head < size) return std::nullopt;
  std::string out = pending_.substr(head, size);
  pending_.erase(0, head + size);
  return out;
}

void Decoder::define(std::int64_t id, const Value& wire_type) {
  if (types_.size() >= kMaxTypes) malformed("too many types");
  Definition out;
  const Value& slice = wire_type["SliceT"];
  if (std::holds_alternative<Fields>(slice.data)) {
    out.kind = Kind::kSlice;
    out.element = slice["Elem"].integer();
  } else if (std::holds_alternative<Fields>(wire_type["StructT"].data)) {
    for (const Value& field : wire_type["StructT"]["Field"].list()) {
      out.fields.emplace_back(field["Name"].text(), field["Id"].integer());
    }
  } else {
    malformed("a type that is neither slice nor structure");
  }
  if (!types_.try_emplace(id, std::move(out)).second) malformed("a type defined twice");
}

std::optional<Value> Decoder::next() {
  while (const auto message = next_message()) {
    Reader reader(*message, types_);
    const std::int64_t id = reader.get_int();
    if (id >= kWireTypeId || id == 0) malformed("an id that Go does not use");
    std::optional<Value> value;
    if (id < 0) {
      const Value wire_type = reader.get_value(kWireTypeId);
      if (id <= -kWireTypeId) malformed("an id that Go does not use");
      define(-id, wire_type);
    } else {
      value = reader.get_value(id);
    }
    if (!reader.empty()) malformed("bytes after the value");
    if (value) return value;
  }
  return std::nullopt;
}

}  // namespace cni::dhcp::gob
