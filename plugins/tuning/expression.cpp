// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "expression.h"

#include <array>
#include <cstddef>

#include "base/concat.h"
#include "base/error.h"

namespace cni::tuning {
namespace {

constexpr std::string_view kMagic = ".[]()*+?{}|^$\\";
constexpr int kMaxRepetition = 1000;  // RE2's limit

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The ASCII characters that a class stands for.
class CharacterSet {
 public:
  void add(char c) noexcept { in_[static_cast<unsigned char>(c) & 0x7f] = true; }
  void add(char from, char to) noexcept {
    for (int c = from; c <= to; ++c) add(static_cast<char>(c));
  }
  void add(const CharacterSet& other) noexcept {
    for (std::size_t i = 0; i < in_.size(); ++i) in_[i] = in_[i] || other.in_[i];
  }
  [[nodiscard]] CharacterSet inverted() const noexcept {
    CharacterSet out;
    for (std::size_t i = 1; i < in_.size(); ++i) out.in_[i] = !in_[i];
    return out;
  }
  [[nodiscard]] bool has(char c) const noexcept { return in_[static_cast<unsigned char>(c)]; }

  /// In brackets, where backslashes mean nothing: ']' comes first, '^' not first, '-' last. "" when
  /// nothing is in it.
  [[nodiscard]] std::string text() const {
    std::string plain;
    for (std::size_t i = 1; i < in_.size(); ++i) {
      const char c = static_cast<char>(i);
      if (in_[i] && std::string_view("][^-").find(c) == std::string_view::npos) plain += c;
    }
    std::string out = concat(has(']') ? "]" : "", plain, has('[') ? "[" : "");
    if (has('^') && out.empty()) return has('-') ? "[-^]" : "\\^";
    if (has('^')) out += '^';
    if (has('-')) out += '-';
    return out.empty() ? out : concat("[", out, "]");
  }

 private:
  std::array<bool, 128> in_{};
};

/// \d, \w, \s.
CharacterSet perl_class(char letter) noexcept {
  CharacterSet out;
  if (letter == 's') {
    for (const char c : {'\t', '\n', '\f', '\r', ' '}) out.add(c);
    return out;
  }
  out.add('0', '9');
  if (letter != 'w') return out;
  out.add('A', 'Z');
  out.add('a', 'z');
  out.add('_');
  return out;
}

class Translator {
 public:
  explicit Translator(std::string_view text) : text_(text) {}

  std::string run() {
    while (at_ < text_.size()) step();
    if (depth_ != 0) fail("missing closing )");
    return out_;
  }

 private:
  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(ErrorCode::kInvalidConfig,
                concat("error parsing regexp ", quote(text_), ": ", problem));
  }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char take() {
    if (at_ >= text_.size()) fail("unexpected end");
    return text_[at_++];
  }

  void step() {
    const char c = take();
    switch (c) {
      case '\\':
        return escape();
      case '[':
        return brackets();
      case '(':
        return open_group();
      case ')':
        return close_group();
      case '*':
      case '+':
      case '?':
        return repetition(std::string(1, c));
      case '{':
        return braces();
      case '|':
      case '^':
      case '$':
        out_ += c;
        operand_ = false;
        return;
      case '}':
      case ']':
        return literal(c);
      default:
        out_ += c;
        operand_ = true;
    }
  }

  void literal(char c) {
    if (kMagic.find(c) != kMagic.npos) out_ += '\\';
    out_ += c;
    operand_ = true;
  }

  void set(const CharacterSet& set) {
    const std::string text = set.text();
    if (text.empty()) fail("a class without characters");
    out_ += text;
    operand_ = true;
  }

  void escape() {
    const char c = take();
    if (c == 'A' || c == 'z') {
      out_ += c == 'A' ? '^' : '$';
      operand_ = false;
    } else if (c == 'b' || c == 'B') {
      out_ += concat("\\", c);
      operand_ = false;
    } else if (CharacterSet named; is_class(c, named)) {
      set(named);
    } else {
      literal(escaped(c));
    }
  }

  /// Of \d and its like, in and outside brackets.
  static bool is_class(char c, CharacterSet& out) noexcept {
    if (c == 'd' || c == 'w' || c == 's')
      out.add(perl_class(c));
    else if (c == 'D' || c == 'W' || c == 'S')
      out.add(perl_class(static_cast<char>(c - 'A' + 'a')).inverted());
    else
      return false;
    return true;
  }

  [[nodiscard]] char escaped(char c) const {
    if (c == 't') return '\t';
    if (c == 'n') return '\n';
    if (is_letter(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80) {
      fail(concat("\\", c, " is not supported"));
    }
    return c;
  }

  void brackets() {
    const bool inverted = peek() == '^';
    if (inverted) ++at_;
    CharacterSet out;
    for (bool first = true; first || peek() != ']'; first = false) {
      if (at_ >= text_.size()) fail("missing closing ]");
      bracket_item(out);
    }
    ++at_;
    set(inverted ? out.inverted() : out);
  }

  void bracket_item(CharacterSet& out) {
    if (peek() == '[' && peek(1) == ':') return named_class(out);
    char from = take();
    if (from == '\\') {
      const char c = take();
      if (is_class(c, out)) return;
      from = escaped(c);
    }
    if (static_cast<unsigned char>(from) >= 0x80) fail("only ASCII is supported in classes");
    if (peek() != '-' || peek(1) == ']' || peek(1) == '\0') return out.add(from);
    ++at_;
    char to = take();
    if (to == '\\') to = escaped(take());
    if (to < from) fail("invalid character class range");
    out.add(from, to);
  }

  void named_class(CharacterSet& out) {
    const auto end = text_.find(":]", at_);
    if (end == text_.npos) fail("missing closing :]");
    const std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
    at_ = end + 2;
    if (name == "word") return out.add(perl_class('w'));
    if (name == "space") return out.add(perl_class('s'));
    if (name == "digit" || name == "alnum" || name == "xdigit") out.add('0', '9');
    if (name == "alpha" || name == "alnum" || name == "upper") out.add('A', 'Z');
    if (name == "alpha" || name == "alnum" || name == "lower") out.add('a', 'z');
    if (name == "xdigit") {
      out.add('A', 'F');
      out.add('a', 'f');
    } else if (name == "punct") {
      for (char c = '!'; c <= '~'; ++c) {
        if (!is_digit(c) && !is_letter(c)) out.add(c);
      }
    } else if (name != "digit" && name != "alnum" && name != "alpha" && name != "upper" &&
               name != "lower") {
      fail(concat("[:", name, ":] is not supported"));
    }
  }

  void open_group() {
    if (peek() == '?') {
      // Groups without number, or with a name: for matching, groups as any other.
      const auto rest = text_.substr(at_);
      const bool named = rest.starts_with("?P<") || rest.starts_with("?<");
      const auto end = rest.find('>');
      if (rest.starts_with("?:"))
        at_ += 2;
      else if (named && end != rest.npos)
        at_ += end + 1;
      else
        fail("flags are not supported");
    }
    out_ += '(';
    ++depth_;
    operand_ = false;
  }

  void close_group() {
    if (depth_ == 0) fail("unexpected )");
    out_ += ')';
    --depth_;
    operand_ = true;
  }

  void repetition(std::string_view text) {
    if (!operand_) fail("missing argument to repetition operator");
    out_ += text;
    if (peek() == '?') ++at_;  // lazy: the same strings match
    operand_ = false;          // RE2 knows no repeated repetition
  }

  /// "{2}", "{2,}", "{2,5}"; anything else is a literal brace.
  void braces() {
    std::size_t at = at_;
    int numbers[2] = {-1, -1};
    const auto number = [&](int& out) {
      for (; at < text_.size() && is_digit(text_[at]) && out <= kMaxRepetition; ++at) {
        out = (out < 0 ? 0 : out) * 10 + (text_[at] - '0');
      }
    };
    number(numbers[0]);
    if (at < text_.size() && text_[at] == ',') number(numbers[++at == 0 ? 0 : 1]);
    if (numbers[0] < 0 || at >= text_.size() || text_[at] != '}') return literal('{');
    if (numbers[0] > kMaxRepetition || numbers[1] > kMaxRepetition) fail("invalid repeat count");
    const std::string_view text = text_.substr(at_ - 1, at - at_ + 2);
    at_ = at + 1;
    repetition(text);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
  int depth_ = 0;
  bool operand_ = false;  // what stands before can be repeated
};

}  // namespace

std::string posix_expression(std::string_view re2) { return Translator(re2).run(); }

}  // namespace cni::tuning
