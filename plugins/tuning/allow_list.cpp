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

}  // namespace

/// A line of the file, compiled once: there may be many keys.
class AllowList::Expression {
 public:
  explicit Expression(std::string_view re2) : re2_(re2) {
    try {
      const int status =
          ::regcomp(&compiled_, posix_expression(re2_).c_str(), REG_EXTENDED | REG_NOSUB);
      if (status == 0) return;
      char text[200];
      ::regerror(status, &compiled_, text, sizeof text);
      throw Error(ErrorCode::kInvalidConfig,
                  concat("error parsing regexp ", quote(re2_), ": ", static_cast<char*>(text)));
    } catch (const Error& error) {
      problem_ = error;
    }
  }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;
  ~Expression() {
    if (!problem_) ::regfree(&compiled_);
  }

  [[nodiscard]] const std::string& text() const noexcept { return re2_; }
  /// Why it cannot be read.
  [[nodiscard]] const std::optional<Error>& problem() const noexcept { return problem_; }
  [[nodiscard]] bool is_found_in(const std::string& text) const {
    return !problem_ && ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  std::string re2_;
  regex_t compiled_{};
  std::optional<Error> problem_;
};

AllowList::AllowList() noexcept = default;
AllowList::AllowList(AllowList&&) noexcept = default;
AllowList::~AllowList() = default;

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
    out.expressions_->push_back(std::make_unique<Expression>(line));
  }
  return out;
}

void AllowList::require_allowed(const std::string& key) const {
  if (!expressions_) return;
  for (const auto& expression : *expressions_) {
    if (expression->is_found_in(key)) return;
  }
  // Only now: another line may have allowed the key.
  require_readable();
  std::string all;
  for (const auto& expression : *expressions_) {
    all += concat(all.empty() ? "" : " ", expression->text());
  }
  throw Error(ErrorCode::kInvalidConfig, concat("sysctl ", quote(key), " is not allowed"),
              concat(kPath, " allows only [", all, "]"));
}

void AllowList::require_readable() const {
  if (!expressions_) return;
  for (const auto& expression : *expressions_) {
    if (const auto& problem = expression->problem()) {
      throw Error(problem->code(), problem->msg(), kPath);
    }
  }
}

}  // namespace cni::tuning
