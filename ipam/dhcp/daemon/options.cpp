// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/options.h"

#include <charconv>
#include <functional>
#include <utility>
#include <vector>

#include "base/concat.h"
#include "base/error.h"

namespace cni::dhcp {
namespace {

using std::chrono::milliseconds;

constexpr double kMaxHours = 24 * 365;

[[noreturn]] void refuse(std::string msg) {
  throw Error(ErrorCode::kInvalidEnvironment, std::move(msg));
}

bool parse_bool(std::string_view name, std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  refuse(concat("invalid boolean value ", quote(text), " for -", name));
}

milliseconds parse_time(std::string_view name, std::string_view text) {
  const auto out = parse_duration(text);
  if (!out) refuse(concat("invalid value ", quote(text), " for flag -", name, ": no duration"));
  return *out;
}

std::string parse_pidfile(std::string_view text) {
  if (!text.empty() && text[0] != '/') {
    refuse(concat("Error writing pidfile ", quote(text), ": path not absolute"));
  }
  return std::string(text);
}

void set(DaemonOptions& out, std::string_view name, std::string_view value) {
  if (name == "pidfile") {
    out.pidfile = parse_pidfile(value);
  } else if (name == "hostprefix") {
    out.host_prefix = value;
  } else if (name == "socketpath") {
    out.socket_path = value;
  } else if (name == "timeout") {
    out.first_wait = std::max(parse_time(name, value), milliseconds(1));
  } else if (name == "resendmax") {
    out.longest_wait = std::max(parse_time(name, value), milliseconds(1));
  } else if (name == "resendtimeout") {
    out.patience = parse_time(name, value);
  } else {
    refuse(concat("flag provided but not defined: -", name));
  }
}

}  // namespace

std::string_view daemon_usage() noexcept {
  return "Usage of dhcp daemon:\n"
         "  -broadcast           ask servers to answer by broadcast\n"
         "  -hostprefix string   prefix of the paths of the socket and of network namespaces\n"
         "  -pidfile string      where to write the process id\n"
         "  -resendmax duration  the longest wait between two tries (default 64s)\n"
         "  -resendtimeout duration\n"
         "                       how long an ADD looks for a lease at most (default 3m28s)\n"
         "  -socketpath string   where plugins call (default /run/cni/dhcp.sock)\n"
         "  -timeout duration    the first wait for an answer; it doubles (default 4s)\n";
}

std::optional<milliseconds> parse_duration(std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
  if (text == "0") return milliseconds(0);
  if (text.empty()) return std::nullopt;
  double sum = 0;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0 || text[0] == '-') return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::string_view unit = text.substr(0, text.find_first_of("0123456789."));
    double factor = 0;
    for (const auto& [name, value] : kUnits) {
      if (name == unit) factor = value;
    }
    if (factor == 0) return std::nullopt;
    sum += number * factor;
    text.remove_prefix(unit.size());
  }
  if (!(sum <= kMaxHours * 3.6e6)) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(sum));
}

DaemonOptions DaemonOptions::parse(std::span<const char* const> arguments) {
  DaemonOptions out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    if (name.size() < 2 || name[0] != '-') refuse(concat("unexpected argument: ", quote(name)));
    name.remove_prefix(name.starts_with("--") ? 2 : 1);
    std::optional<std::string_view> value;
    if (const auto at = name.find('='); at != name.npos) {
      value = name.substr(at + 1);
      name = name.substr(0, at);
    }
    if (name == "h" || name == "help") {
      out.help = true;
      return out;
    }
    if (name == "broadcast") {
      out.broadcast = parse_bool(name, value.value_or("true"));
      continue;
    }
    if (!value) {
      if (i + 1 == arguments.size()) refuse(concat("flag needs an argument: -", name));
      value = arguments[++i];
    }
    set(out, name, *value);
  }
  return out;
}

}  // namespace cni::dhcp
