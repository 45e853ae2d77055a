// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Leases whose attachment cannot exist any more, and those that must never be taken for such.
#include "base/concat.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::contains;
using cni::test::Host;
using cni::test::Network;
using cni::test::Outcome;

namespace {

const char* const kSmall = R"("subnet":"10.1.0.0/29")";  // five addresses to hand out

void fill(const Network& net) {
  for (int i = 0; i < 5; ++i) REQUIRE(net.add(concat("c", i)).ok());
}

}  // namespace

TEST_CASE("host-local reboot: leases of an earlier boot never exhaust a range", "[host-local]") {
  Host host;
  const bool all = cni::test::takes_long();
  const int size = all ? 253 : 13;
  const Network net(all ? R"("subnet":"10.1.0.0/24")" : R"("subnet":"10.1.0.0/28")");
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < size; ++i) {
      CAPTURE(round, i);
      REQUIRE(net.add(concat("r", round, "c", i)).ok());
    }
    REQUIRE(net.add("one-too-many").code() == 11);
    host.reboot();
  }
}

TEST_CASE("host-local reboot: the same container gets addresses again", "[host-local]") {
  Host host;
  const Network net(kSmall);
  REQUIRE(net.add("c1").addresses() == std::vector<std::string>{"10.1.0.2/29"});
  REQUIRE(net.add("c1").code() == 102);
  host.reboot();
  REQUIRE(net.add("c1").addresses() == std::vector<std::string>{"10.1.0.3/29"});
  REQUIRE(net.leases().size() == 1);
  REQUIRE(net.add("c2", "eth0", "IP=10.1.0.3").code() == 102);
  host.reboot();
  REQUIRE(net.add("c2", "eth0", "IP=10.1.0.3").ok());
}

TEST_CASE("host-local reboot: an error says how many leases were freed all the same",
          "[host-local]") {
  Host host;
  // The second set is full of leases that say nothing about their circumstances.
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/29"}],[{"subnet":"10.2.0.0/29"}]])");
  fill(net);
  host.reboot();
  for (int i = 2; i <= 6; ++i) {
    const std::string name = concat("10.2.0.", i);
    std::filesystem::remove(net.dir() / name);
    net.put(name, concat("x", i, "\r\neth0"));
  }
  const Outcome full = net.add("c9");
  REQUIRE(full.code() == 11);
  REQUIRE_THAT(full.message(), contains("range set: 10.2.0.1-10.2.0.6"));
  REQUIRE_THAT(full.message(), contains("5 leases, "));
  REQUIRE_THAT(full.message(),
               contains("; 5 lease(s) of attachments that cannot exist any more were freed"));
}

TEST_CASE("host-local reboot: STATUS counts on what can be reclaimed", "[host-local]") {
  Host host;
  const Network net(kSmall);
  fill(net);
  REQUIRE(net.status().code() == 50);
  host.reboot();
  const auto before = net.leases();
  REQUIRE(net.status().ok());
  REQUIRE(net.leases() == before);
}

TEST_CASE("host-local reclaim: never and onBoot", "[host-local]") {
  Host host;
  const Network never(concat(kSmall, R"(,"reclaim":"never")"));
  const Network on_boot(concat(kSmall, R"(,"reclaim":"onBoot")"));
  fill(never);
  fill(on_boot);
  host.reboot();
  const Outcome full = never.add("c9");
  REQUIRE(full.code() == 11);
  REQUIRE_THAT(full.message(), contains("5 look dead"));
  REQUIRE_THAT(full.message(), contains("cnitool ipam free net1 --dead"));
  REQUIRE(on_boot.add("c9").ok());
  REQUIRE(on_boot.leases().size() == 1);
}

TEST_CASE("host-local reclaim: a reference lease is not taken for dead", "[host-local][oracle]") {
  cni::test::require_file(cni::test::reference_plugin("host-local"));
  Host host;
  const Network net(kSmall);
  REQUIRE(net.add("c1").ok());
  host.reboot();
  // The container was started again, by the reference, and got the very same address.
  REQUIRE(net.call(cni::test::reference_plugin("host-local"), "DEL", "c1").ok());
  cni::test::write_text(net.dir() / "last_reserved_ip.0", "10.1.0.6");
  REQUIRE(net.call(cni::test::reference_plugin("host-local"), "ADD", "c1").ok());
  REQUIRE(net.leases().contains("10.1.0.2"));
  for (int i = 0; i < 4; ++i) REQUIRE(net.add(concat("x", i)).ok());
  REQUIRE(net.add("x9").code() == 11);
  REQUIRE(net.leases().at("10.1.0.2") == "c1\r\neth0");
}

TEST_CASE("host-local exhaustion: the error says what to do", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.2.0.0/24"}],[{"subnet":"10.1.0.0/29"}]])");
  for (int i = 0; i < 5; ++i) REQUIRE(net.add(concat("c", i)).ok());
  const Outcome full = net.add("c9");
  REQUIRE(full.code() == 11);
  REQUIRE_THAT(full.message(), contains("failed to allocate for range 1: no IP addresses available "
                                        "in range set: 10.1.0.1-10.1.0.6"));
  REQUIRE_THAT(full.message(), contains("5 leases, the oldest 10.1.0.2 of container \"c0\""));
  REQUIRE_THAT(full.message(), contains("; 0 look dead"));
}

TEST_CASE("host-local torn files: never block an address for ever", "[host-local]") {
  using std::string;
  const auto content = GENERATE(
      values<string>({string(), string(12, '\0'), string("\r\n"), string("c1\r\n\0\0\0\0", 8),
                      string("\x8f\x01\xff"), string(200000, 'x'), string("a b c")}));
  const Network net(kSmall);
  for (int i = 2; i <= 6; ++i) net.put(concat("10.1.0.", i), content);
  REQUIRE(net.status().ok());
  REQUIRE(net.add("c1", "eth0", "IP=10.1.0.4").ok());
  REQUIRE(net.leases().at("10.1.0.4") == "c1\r\neth0");
  REQUIRE(net.add("c2").ok());
  REQUIRE(net.leases().size() == 2);
  net.put("10.1.0.2", content);
  REQUIRE(net.gc({"c1/eth0", "c2/eth0"}).ok());
  REQUIRE(net.leases().size() == 2);
}
