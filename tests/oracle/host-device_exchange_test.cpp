// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A device moved by one suite, and given back by the other.
#include "plugins/host-device/fixture.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

Output call(const DeviceHost& on, std::string_view verb, const std::string& conf,
            const std::string& bin_dir) {
  PluginCall call = on.attachment(conf).call(verb);
  call.plugin = "host-device";
  call.bin_dir = bin_dir;
  return run_plugin(call);
}

const std::string& conf() {
  static const std::string text = DeviceHost::conf(R"("device":"nic0")", "1.0.0");
  return text;
}

/// Of the container, without what only ours has: the mark, and how addresses are settled.
std::string state(const DeviceHost& on) {
  std::string out;
  for (const std::string& line : snapshot_network(on.sandbox.net()).only("link addr route").lines) {
    const bool differs = line.find("altnames") != line.npos || line.find("fe80::") != line.npos ||
                         line.find("2001:db8:1::") != line.npos ||
                         line.find("addr_gen_mode") != line.npos;
    if (!differs) out += line + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("host-device oracle: the result and the container", "[oracle]") {
  require_reference("host-device");
  std::string results[2];
  std::string states[2];
  for (const bool ours : {false, true}) {
    const DeviceHost on;
    const Output output = call(on, "ADD", conf(), ours ? our_bin_dir() : reference_bin_dir());
    INFO(output.text());
    REQUIRE(output.ok());
    results[ours ? 1 : 0] = snapshot_of(output.json().root(), "result").text();
    states[ours ? 1 : 0] = state(on);
  }
  CHECK(results[0] == results[1]);
  CHECK(states[0] == states[1]);
}

TEST_CASE("host-device exchange: ours CHECKs and DELetes what the reference moved", "[oracle]") {
  require_reference("host-device");
  const DeviceHost on;
  const Output added = call(on, "ADD", conf(), reference_bin_dir());
  REQUIRE(added.ok());
  const Output checked = call(on, "CHECK", with(conf(), "prevResult", added.json()), our_bin_dir());
  INFO(checked.text());
  CHECK(checked.ok());
  const Output deleted = call(on, "DEL", conf(), our_bin_dir());
  INFO(deleted.text());
  REQUIRE(deleted.ok());
  CHECK(link_of("nic0").root()["ifalias"].string_or("") == "");
  CHECK(link_of("nic0").root()["mtu"].text() == "1400");
  CHECK(leases_of("net1").empty());
}

TEST_CASE("host-device exchange: the reference DELetes what ours moved; GC restores the rest",
          "[oracle]") {
  require_reference("host-device");
  const DeviceHost on;
  const Output added = call(on, "ADD", conf(), our_bin_dir());
  REQUIRE(added.ok());
  const Output checked =
      call(on, "CHECK", with(conf(), "prevResult", added.json()), reference_bin_dir());
  INFO(checked.text());
  CHECK(checked.ok());
  const Output deleted = call(on, "DEL", conf(), reference_bin_dir());
  INFO(deleted.text());
  REQUIRE(deleted.ok());
  CHECK(has_link("nic0"));
  REQUIRE(on.attachment().collecting({}).run("GC").ok());
  CHECK(on.leftovers() == "");
}
