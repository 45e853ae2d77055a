// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/config.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"

namespace cni {
namespace {

bool is_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Unicode white space in UTF-8, as the reference tests it.
bool has_white_space(std::string_view text) noexcept {
  static constexpr std::string_view kSpaces[] = {" ",
                                                 "\t",
                                                 "\n",
                                                 "\v",
                                                 "\f",
                                                 "\r",
                                                 "\xc2\x85",
                                                 "\xc2\xa0",
                                                 "\xe1\x9a\x80",
                                                 "\xe2\x80\x80",
                                                 "\xe2\x80\x81",
                                                 "\xe2\x80\x82",
                                                 "\xe2\x80\x83",
                                                 "\xe2\x80\x84",
                                                 "\xe2\x80\x85",
                                                 "\xe2\x80\x86",
                                                 "\xe2\x80\x87",
                                                 "\xe2\x80\x88",
                                                 "\xe2\x80\x89",
                                                 "\xe2\x80\x8a",
                                                 "\xe2\x80\xa8",
                                                 "\xe2\x80\xa9",
                                                 "\xe2\x80\xaf",
                                                 "\xe2\x81\x9f",
                                                 "\xe3\x80\x80"};
  return std::ranges::any_of(kSpaces,
                             [&](std::string_view s) { return text.find(s) != text.npos; });
}

std::optional<bool> parse_bool(std::string value) {
  std::ranges::transform(value, value.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  if (value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  return std::nullopt;
}

struct Pair {
  std::string_view text, key, value;
  bool valid = false;
};

std::vector<Pair> split_pairs(std::string_view text) {
  std::vector<Pair> out;
  while (!text.empty() || !out.empty()) {
    const auto end = text.find(';');
    Pair pair;
    pair.text = text.substr(0, end);
    const auto equals = pair.text.find('=');
    pair.valid = equals != pair.text.npos && pair.text.find('=', equals + 1) == pair.text.npos;
    pair.key = pair.text.substr(0, equals);
    if (pair.valid) pair.value = pair.text.substr(equals + 1);
    out.push_back(pair);
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

std::optional<Result> NetConf::prev_result() const {
  const JsonRef previous = root()["prevResult"];
  if (!previous.present()) return std::nullopt;
  return parse_result(previous, version);
}

std::optional<Result> NetConf::prev_result_if_usable() const noexcept {
  try {
    return prev_result();
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

ValidAttachments NetConf::valid_attachments() const {
  for (const std::string_view key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
    const JsonRef list = root().exact(key);
    if (!list.written()) continue;
    std::vector<Attachment> out;
    for (const JsonRef& item : list.items()) {
      out.push_back({item["containerID"].string(), item["ifname"].string()});
    }
    return out;
  }
  return std::nullopt;
}

CniArgs CniArgs::parse(std::string_view text, const std::vector<std::string_view>& known) {
  CniArgs out;
  std::string unknown;
  bool ignore_unknown = false;
  for (const Pair& pair : split_pairs(text)) {
    // The values may be secrets of other plugins: messages show keys only.
    if (!pair.valid) {
      throw Error(ErrorCode::kInvalidEnvironment,
                  concat("CNI_ARGS: invalid pair with key ", quote(pair.key)),
                  "each pair must be KEY=VALUE with one '=', pairs are separated by ';'");
    }
    if (pair.key == "IgnoreUnknown") {
      const auto value = parse_bool(std::string(pair.value));
      if (!value) {
        throw Error(
            ErrorCode::kInvalidEnvironment,
            concat("CNI_ARGS: IgnoreUnknown must be 1, 0, true or false, got ", quote(pair.value)));
      }
      ignore_unknown = *value;
    } else if (std::ranges::find(known, pair.key) == known.end()) {
      unknown += concat(unknown.empty() ? "" : " ", quote(pair.key));
    } else {
      out.values_[std::string(pair.key)] = pair.value;
    }
  }
  if (!unknown.empty() && !ignore_unknown) {
    throw Error(ErrorCode::kInvalidEnvironment, concat("CNI_ARGS: unknown args [", unknown, "]"),
                "IgnoreUnknown=1 in CNI_ARGS lets a plugin pass over keys of other plugins");
  }
  return out;
}

CniArgs CniArgs::parse_leniently(std::string_view text) {
  CniArgs out;
  for (const Pair& pair : split_pairs(text)) {
    if (pair.valid) out.values_[std::string(pair.key)] = pair.value;
  }
  return out;
}

std::string CniArgs::get(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string() : found->second;
}

bool is_valid_name(std::string_view text) noexcept {
  if (text.empty() || !is_alnum(text.front())) return false;
  return std::ranges::all_of(
      text, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

std::optional<std::pair<std::string, std::string>> interface_name_problem(std::string_view name) {
  if (name.empty()) return {{"interface name is empty", ""}};
  if (name.size() > 15) {
    return {{"interface name is too long", "interface name should be less than 16 characters"}};
  }
  if (name == "." || name == "..") return {{"interface name is . or ..", ""}};
  if (name.find_first_of("/:") != name.npos || has_white_space(name)) {
    return {{"interface name contains / or : or whitespace characters", quote(name)}};
  }
  if (name.find('%') != name.npos || name.find('\0') != name.npos) {
    return {{"interface name contains % (the kernel would replace it)", quote(name)}};
  }
  return std::nullopt;
}

bool is_valid_plugin_type(std::string_view type) noexcept {
  return !type.empty() && type.front() != '.' && type.find('/') == type.npos &&
         type.find('\0') == type.npos;
}

}  // namespace cni
