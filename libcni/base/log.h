// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <chrono>
#include <string>
#include <string_view>

/// Logging for a process that lives a few milliseconds. Nothing is set up until a line is written;
/// without configuration only errors are written, to stderr. stdout belongs to the protocol.
namespace cni::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

struct Options {
  Level level = Level::kError;
  std::string file;  // empty: stderr
  std::string verb, plugin, network, container_id, ifname;
};

/// Takes effect for the lines that follow. A file that cannot be opened is reported on stderr once;
/// the lines then go to stderr. Never throws.
void configure(Options options) noexcept;
/// "debug", "info", "warn", "error", "off"; anything else: kError and false.
bool parse_level(std::string_view text, Level& level) noexcept;
[[nodiscard]] bool enabled(Level level) noexcept;

void debug(std::string_view text) noexcept;
void info(std::string_view text) noexcept;
void warn(std::string_view text) noexcept;
void error(std::string_view text) noexcept;

/// Lines of another program, to stderr as they are.
void raw(std::string_view lines) noexcept;

/// While it lives, lines carry another plugin's name: a delegate that runs in this process.
class [[nodiscard]] As {
 public:
  explicit As(std::string_view plugin);
  As(const As&) = delete;
  As& operator=(const As&) = delete;
  ~As();

 private:
  std::string before_;
};

/// One step of a verb: its end writes an info line with the time it took (us). A step that ends by
/// an exception says "failed". Costs two clock reads when logging is off.
class [[nodiscard]] Step {
 public:
  explicit Step(std::string_view what);
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step();

 private:
  std::string what_;
  int exceptions_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace cni::log
