// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/options.h"

#include <vector>

#include "support/catch.h"
#include "support/error_of.h"

using cni::dhcp::DaemonOptions;
using cni::dhcp::parse_duration;
using cni::test::contains;
using cni::test::error_of;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

DaemonOptions parse(const std::vector<const char*>& arguments) {
  return DaemonOptions::parse(arguments);
}

}  // namespace

TEST_CASE("dhcp daemon: its command line in Go's forms", "[dhcp]") {
  const DaemonOptions options =
      parse({"-pidfile", "/run/p", "--hostprefix=/host", "-socketpath", "/s", "-broadcast",
             "-timeout=1s", "--resendmax", "2m", "-resendtimeout", "1m30s"});
  REQUIRE(options.pidfile == "/run/p");
  REQUIRE(options.host_prefix == "/host");
  REQUIRE(options.socket_path == "/s");
  REQUIRE(options.broadcast);
  REQUIRE(options.first_wait == seconds(1));
  REQUIRE(options.longest_wait == seconds(120));
  REQUIRE(options.patience == seconds(90));
  REQUIRE_FALSE(parse({"-broadcast=false"}).broadcast);
  REQUIRE(parse({}).socket_path == "/run/cni/dhcp.sock");
  REQUIRE(parse({"-h"}).help);
  REQUIRE(parse({"--help"}).help);
}

TEST_CASE("dhcp daemon: what its command line refuses", "[dhcp]") {
  struct Case {
    std::vector<const char*> arguments;
    std::string text;
  };
  const auto c = GENERATE(values<Case>({
      {{"-x"}, "flag needs an argument: -x"},
      {{"-x", "1"}, "flag provided but not defined: -x"},
      {{"x"}, "unexpected argument"},
      {{"-timeout"}, "flag needs an argument: -timeout"},
      {{"-timeout", "10"}, "invalid value \"10\" for flag -timeout"},
      {{"-broadcast=maybe"}, "invalid boolean value"},
      {{"-pidfile", "p"}, "path not absolute"},
  }));
  REQUIRE_THAT(error_of([&] { parse(c.arguments); }).msg(), contains(c.text));
}

TEST_CASE("dhcp daemon: durations", "[dhcp]") {
  REQUIRE(parse_duration("0") == milliseconds(0));
  REQUIRE(parse_duration("1.5s") == milliseconds(1500));
  REQUIRE(parse_duration("1h2m3s4ms") == hours(1) + milliseconds(123004));
  REQUIRE(parse_duration("500us") == milliseconds(0));
  for (const char* const bad : {"", "s", "1", "-1s", "1x", "1s1", "1e3s", "nan", "99999999h"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(parse_duration(bad));
  }
}
