// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "allow_list.h"

#include <fcntl.h>
#include <regex.h>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "expression.h"

namespace cni::tuning {
namespace {

constexpr const char* kPath = "/etc/cni/tuning/allowlist.conf";
constexpr std::string_view kBlanks = " \t\r\v\f";

/// A compiled expression.
class Expression {
 public:
  explicit Expression(const std::string& re2) {
    const int status =
        ::regcomp(&compiled_, posix_expression(re2).c_str(), REG_EXTENDED | REG_NOSUB);
    if (status == 0) return;
    char text[200];
    ::regerror(status, &compiled_, text, sizeof text);
    throw Error(ErrorCode::kInvalidConfig,
                concat("error parsing regexp ", quote(re2), ": ", static_cast<char*>(text)));
  }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;
  ~Expression() { ::regfree(&compiled_); }

  [[nodiscard]] bool is_found_in(const std::string& text) const {
    return ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_{};
};

}  // namespace

AllowList AllowList::load() {
  const Fd fd = open_file_if_exists(kPath, O_RDONLY);
  return fd.valid() ? parse(read_all(fd.get(), kPath)) : AllowList();
}

AllowList AllowList::parse(std::string_view text) {
  AllowList out;
  out.expressions_.emplace();
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    const auto first = line.find_first_not_of(kBlanks);
    if (first == line.npos) continue;
    line = line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
    out.expressions_->emplace_back(line);
  }
  return out;
}

void AllowList::require_allowed(const std::string& key) const {
  if (!expressions_) return;
  std::optional<Error> unreadable;
  std::string all;
  for (const std::string& expression : *expressions_) {
    try {
      if (Expression(expression).is_found_in(key)) return;
    } catch (const Error& error) {
      // Another line may allow the key; this one then does not matter.
      if (!unreadable) unreadable = error;
    }
    all += concat(all.empty() ? "" : " ", expression);
  }
  if (unreadable) throw Error(unreadable->code(), unreadable->msg(), kPath);
  throw Error(ErrorCode::kInvalidConfig, concat("sysctl ", quote(key), " is not allowed"),
              concat(kPath, " allows only [", all, "]"));
}

void AllowList::require_readable() const {
  if (!expressions_) return;
  for (const std::string& expression : *expressions_) {
    try {
      [[maybe_unused]] const Expression compiled(expression);
    } catch (const Error& error) {
      throw Error(error.code(), error.msg(), kPath);
    }
  }
}

}  // namespace cni::tuning
