// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "support/capture_stderr.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using cni::log::Level;

namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

cni::log::Options to_file(Level level, const std::string& file) {
  cni::log::Options options;
  options.level = level;
  options.file = file;
  options.plugin = "bridge";
  options.verb = "ADD";
  options.network = "demo";
  options.container_id = "c1";
  options.ifname = "eth0";
  return options;
}

}  // namespace

TEST_CASE("log: without configuration only errors, to stderr", "[log]") {
  const cni::test::CaptureStderr captured;
  cni::log::debug("one");
  cni::log::info("two");
  cni::log::warn("three");
  cni::log::error("four");
  { const cni::log::Step step("five"); }
  const std::string text = captured.text();
  REQUIRE(contains(text, "error four pid="));
  REQUIRE_FALSE(contains(text, "two"));
  REQUIRE_FALSE(contains(text, "three"));
  REQUIRE_FALSE(contains(text, "five"));
}

TEST_CASE("log: levels", "[log]") {
  Level level = Level::kOff;
  const std::vector<std::pair<std::string, Level>> names = {{"debug", Level::kDebug},
                                                            {"info", Level::kInfo},
                                                            {"warn", Level::kWarn},
                                                            {"error", Level::kError},
                                                            {"off", Level::kOff}};
  for (const auto& [name, value] : names) {
    REQUIRE(cni::log::parse_level(name, level));
    REQUIRE(level == value);
  }
  REQUIRE_FALSE(cni::log::parse_level("loud", level));
  REQUIRE(level == Level::kError);

  const cni::test::TempDir dir;
  cni::log::configure(to_file(Level::kWarn, dir.path("log")));
  cni::log::info("quiet");
  cni::log::warn("loud");
  REQUIRE(cni::log::enabled(Level::kWarn));
  REQUIRE_FALSE(cni::log::enabled(Level::kInfo));
  const std::string text = cni::read_file(dir.path("log"));
  REQUIRE(contains(text, "loud"));
  REQUIRE_FALSE(contains(text, "quiet"));
}

TEST_CASE("log: off writes nothing at all", "[log]") {
  const cni::test::CaptureStderr captured;
  cni::log::configure(to_file(Level::kOff, ""));
  cni::log::error("x");
  REQUIRE(captured.text().empty());
}

TEST_CASE("log: a line says who, what and how long", "[log]") {
  const cni::test::TempDir dir;
  cni::log::configure(to_file(Level::kInfo, dir.path("log")));
  { const cni::log::Step step("create veth"); }
  const std::string text = cni::read_file(dir.path("log"));
  REQUIRE(contains(text, " info create veth us="));
  REQUIRE(contains(text, " plugin=bridge verb=ADD network=demo container=c1 ifname=eth0\n"));
}

TEST_CASE("log: a step that ends by an exception says failed", "[log]") {
  const cni::test::TempDir dir;
  cni::log::configure(to_file(Level::kInfo, dir.path("log")));
  try {
    const cni::log::Step step("create veth");
    throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
  }
  REQUIRE(contains(cni::read_file(dir.path("log")), "create veth failed us="));
}

TEST_CASE("log: values of the caller cannot forge a line", "[log]") {
  const cni::test::TempDir dir;
  cni::log::Options options = to_file(Level::kInfo, dir.path("log"));
  options.ifname = "x\nerror forged";
  cni::log::configure(options);
  cni::log::info("line");
  const std::string text = cni::read_file(dir.path("log"));
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("log: a file that cannot be opened is said once, lines go to stderr", "[log]") {
  const cni::test::TempDir dir;
  const cni::test::CaptureStderr captured;
  cni::log::configure(to_file(Level::kInfo, dir.path()));
  cni::log::info("one");
  cni::log::info("two");
  const std::string text = captured.text();
  REQUIRE(contains(text, "info one"));
  REQUIRE(contains(text, "info two"));
  REQUIRE(contains(text, "cannot open log file"));
  REQUIRE(text.find("cannot open log file") == text.rfind("cannot open log file"));
}

TEST_CASE("log: only into a regular file, no link is followed, nothing else is made", "[log]") {
  const cni::test::TempDir dir;
  const std::string file = dir.path("log");
  const std::string kind = GENERATE("fifo", "link", "directory", "missing");
  if (kind == "fifo") REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  if (kind == "link") REQUIRE(::symlink(dir.path("target").c_str(), file.c_str()) == 0);
  if (kind == "directory") REQUIRE(::mkdir(file.c_str(), 0700) == 0);
  const cni::test::CaptureStderr captured;
  cni::log::configure(to_file(Level::kInfo, kind == "missing" ? file + "/log" : file));
  cni::log::info("words");
  cni::log::configure({});
  CHECK(contains(captured.text(), "cannot open log file"));
  CHECK(contains(captured.text(), "info words"));
  CHECK(dir.names() ==
        (kind == "missing" ? std::vector<std::string>{} : std::vector<std::string>{"log"}));
}

TEST_CASE("log: a full disk does not fail the caller", "[log]") {
  const cni::test::CaptureStderr captured;
  cni::log::configure(to_file(Level::kInfo, "/dev/full"));
  cni::log::info("one");
  cni::log::info("two");
  SUCCEED();
}
