// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni::log {
namespace {

constexpr int kPatienceMs = 1000;
constexpr std::size_t kMaxStderrLine = 4096;

/// A closed stderr must not fail the verb, one that nobody reads must not stop it: after one wait
/// in vain lines are dropped.
void put_on_stderr(std::string_view line) noexcept {
  static bool stuck = false;
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  const bool taken = ::poll(&ready, 1, stuck ? 0 : kPatienceMs) > 0;
  stuck = !taken;
  // A pipe that can be written to takes a page.
  if (taken) {
    [[maybe_unused]] const auto ignored =
        ::write(STDERR_FILENO, line.data(), std::min(line.size(), kMaxStderrLine));
  }
}

/// Writes whole lines with one write(2): parallel plugins share the stream.
class Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  /// stderr when there is no file.
  explicit Sink(Fd file) : file_(std::move(file)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    if (!file_.valid()) return put_on_stderr({line.data(), line.size()});
    // A full disk must not fail the verb.
    [[maybe_unused]] const auto ignored = ::write(file_.get(), line.data(), line.size());
  }
  void flush_() override {}

 private:
  Fd file_;
};

/// Regular files only, and no symbolic link: the path is the configuration's, and the directory may
/// be everybody's. Nothing else is made for it, and a FIFO is not waited for.
Fd open_log_file(const std::string& path) {
  constexpr unsigned kMode = 0640;
  Fd fd =
      open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, kMode);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kIo, concat("open ", quote(path)), "not a regular file");
  }
  return fd;
}

struct State {
  Options options;
  std::unique_ptr<spdlog::logger> logger;
};

State& state() {
  static State* const instance = new State;  // never destroyed: Steps may end during exit
  return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      break;
  }
  return spdlog::level::off;
}

/// Values come from the caller: quoted where they could break the line.
std::string field(std::string_view key, const std::string& value) {
  if (value.empty()) return {};
  const bool plain = value.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                         "_.-:/@%+") == std::string::npos;
  return concat(" ", key, "=", plain ? value : quote(value));
}

void open_logger(State& s) {
  Fd file;
  if (!s.options.file.empty()) {
    try {
      file = open_log_file(s.options.file);
    } catch (const Error& error) {
      put_on_stderr(concat("cnipp: cannot open log file, using stderr: ", error.what(), "\n"));
    }
  }
  s.logger =
      std::make_unique<spdlog::logger>(s.options.plugin, std::make_shared<Sink>(std::move(file)));
  s.logger->set_level(spdlog::level::debug);
  s.logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
}

std::string context(const Options& o) {
  return concat(" pid=", ::getpid(), field("plugin", o.plugin), field("verb", o.verb),
                field("network", o.network), field("container", o.container_id),
                field("ifname", o.ifname));
}

void write_line(Level level, std::string_view text) noexcept {
  try {
    State& s = state();
    if (level < s.options.level) return;
    if (!s.logger) open_logger(s);
    const std::string line = concat(text, context(s.options));
    s.logger->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
    s.logger->flush();
  } catch (...) {
    // Logging never fails a verb.
  }
}

}  // namespace

void configure(Options options) noexcept {
  State& s = state();
  s.options = std::move(options);
  s.logger.reset();
}

bool parse_level(std::string_view text, Level& level) noexcept {
  static constexpr struct {
    std::string_view name;
    Level level;
  } kNames[] = {{"debug", Level::kDebug},  {"info", Level::kInfo},   {"warn", Level::kWarn},
                {"warning", Level::kWarn}, {"error", Level::kError}, {"off", Level::kOff}};
  for (const auto& entry : kNames) {
    if (entry.name != text) continue;
    level = entry.level;
    return true;
  }
  level = Level::kError;
  return false;
}

bool enabled(Level level) noexcept { return level >= state().options.level; }

void debug(std::string_view text) noexcept { write_line(Level::kDebug, text); }
void info(std::string_view text) noexcept { write_line(Level::kInfo, text); }
void warn(std::string_view text) noexcept { write_line(Level::kWarn, text); }
void error(std::string_view text) noexcept { write_line(Level::kError, text); }

void raw(std::string_view lines) noexcept {
  for (; !lines.empty(); lines.remove_prefix(std::min(lines.size(), kMaxStderrLine))) {
    put_on_stderr(lines);
  }
}

As::As(std::string_view plugin) : before_(plugin) { state().options.plugin.swap(before_); }
As::~As() { state().options.plugin.swap(before_); }

Step::Step(std::string_view what) {
  if (!enabled(Level::kInfo)) return;
  what_ = what;
  exceptions_ = std::uncaught_exceptions();
  start_ = std::chrono::steady_clock::now();
}

Step::~Step() {
  if (what_.empty()) return;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start_);
  const bool failed = std::uncaught_exceptions() > exceptions_;
  write_line(Level::kInfo, concat(what_, failed ? " failed" : "", " us=", us.count()));
}

}  // namespace cni::log
