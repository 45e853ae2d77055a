// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What bandwidth ADD puts into the kernel, that packets obey, and that a failure leaves nothing.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cmath>

#include "base/error.h"
#include "plugins/bandwidth_fixture.h"
#include "support/catch.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

using Clock = std::chrono::steady_clock;

std::int64_t bytes_through(std::string_view link) {
  return root_qdisc(link).root()["bytes"].int_or(0, 0, INT64_MAX);
}

/// Sends as much as the link takes for a while, and returns what passed its qdisc and how long that
/// was at most.
std::pair<std::int64_t, double> flood(const TestNamespace& from, const char* to,
                                      std::string_view link) {
  const auto begin = Clock::now();
  const std::int64_t before = bytes_through(link);
  from.run([to] {
    const cni::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    REQUIRE(::inet_pton(AF_INET, to, &address.sin_addr) == 1);
    const std::string payload(1400, 'x');
    const auto end = Clock::now() + std::chrono::milliseconds(300);
    while (Clock::now() < end) {
      (void)::sendto(fd.get(), payload.data(), payload.size(), MSG_DONTWAIT,
                     reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  });
  const std::int64_t passed = bytes_through(link) - before;
  return {passed, std::chrono::duration<double>(Clock::now() - begin).count()};
}

std::string member(const cni::Json& result, std::size_t index, std::string_view key) {
  return result.root()["interfaces"].items().at(index)[key].text();
}

}  // namespace

TEST_CASE("bandwidth ADD: what is in the kernel and in the result", "[bandwidth][each-kernel]") {
  const VethHost on;
  tool("ip link set host0 mtu 1400");
  const cni::Json result = on.chained("bandwidth", kBothWays).add();
  REQUIRE(ifbs().size() == 1);
  const std::string ifb = ifbs().front();
  CHECK(ifb.starts_with("ifb"));
  const cni::Json link = link_of(ifb);
  CHECK(link.root()["mtu"].text() == "1400");
  CHECK(link.root()["flags"].text().find("\"UP\"") != std::string::npos);
  CHECK_THAT(link.root()["ifalias"].string(), contains("net: net1, if: eth0, id: c1"));
  CHECK(tool(concat("ip addr show dev ", ifb)).find("inet") == std::string::npos);

  const cni::Json down = root_qdisc("host0"), up = root_qdisc(ifb);
  CHECK(option(down, "rate") == "1250000");
  CHECK(option(down, "burst") == "100000");
  CHECK(option(up, "rate") == "2500000");
  CHECK(option(up, "burst") == "50000");
  CHECK(redirected_to("host0") == ifb);
  CHECK(qdiscs_of("host0") == "clsact tbf");

  CHECK(result.root()["interfaces"].items().size() == 3);
  CHECK(member(result, 2, "name") == concat("\"", ifb, "\""));
  CHECK(member(result, 2, "mac") == link.root()["address"].text());
  CHECK(member(result, 2, "sandbox") == "null");
  CHECK(result.root()["ips"].items().at(0)["address"].string() == "10.1.2.3/24");
}

TEST_CASE("bandwidth ADD: every version of the specification", "[bandwidth]") {
  const char* const version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  INFO(version);
  const VethHost on;
  const Attachment attachment = on.chained("bandwidth", kBothWays, version);
  const cni::Json result = attachment.add();
  CHECK(result.root()["cniVersion"].string() == version);
  CHECK(option(root_qdisc("host0"), "rate") == "1250000");
  if (std::string_view(version) >= "0.3.0") {
    CHECK(member(result, 2, "name") == concat("\"", ifbs().at(0), "\""));
  }
  attachment.del();
  CHECK(ifbs().empty());
}

TEST_CASE("bandwidth ADD: one direction only", "[bandwidth]") {
  const VethHost on;
  SECTION("towards the container") {
    const Attachment attachment =
        on.chained("bandwidth", R"("ingressRate":10000000,"ingressBurst":800000)");
    // Nothing to report: passed on as it was.
    CHECK(attachment.add().dump() == on.previous().dump());
    CHECK(qdiscs_of("host0") == "tbf");
    CHECK(ifbs().empty());
  }
  SECTION("from the container") {
    on.chained("bandwidth", R"("egressRate":10000000,"egressBurst":800000,"ingressRate":0)").add();
    CHECK(qdiscs_of("host0") == "clsact noqueue");
    CHECK(ifbs().size() == 1);
  }
}

TEST_CASE("bandwidth ADD: no limits do nothing", "[bandwidth]") {
  const VethHost on;
  const Snapshot before = snapshot_host();
  Attachment attachment = on.chained(
      "bandwidth",
      GENERATE("", R"("ingressRate":0,"egressBurst":0)", R"("runtimeConfig":{"bandwidth":null})",
               R"("runtimeConfig":{"bandwidth":{"ingressRate":0,"ingressBurst":0}})"));
  attachment.netns = "/run/netns/none";
  CHECK(attachment.add().dump() == on.previous().dump());
  CHECK(attachment.run("CHECK").ok());
  attachment.del();
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bandwidth ADD: what runtimes send", "[bandwidth]") {
  const VethHost on;
  const char* const burst = GENERATE("4294967295", "2147483647");
  on.chained("bandwidth", concat(R"("runtimeConfig":{"bandwidth":{"IngressRate":10000000,)"
                                 R"("IngressBurst":)",
                                 burst, R"(,"EgressRate":1000000,"EgressBurst":)", burst, "}}"))
      .add();
  // A burst of our own choice: 25 ms, at least ten frames.
  CHECK(option(root_qdisc("host0"), "burst") == "31250");
  CHECK(option(root_qdisc("host0"), "rate") == "1250000");
  CHECK(option(root_qdisc(ifbs().at(0)), "rate") == "125000");
  CHECK(option(root_qdisc(ifbs().at(0)), "burst") == "15180");
}

TEST_CASE("bandwidth ADD: the configuration's own limits come before runtimeConfig",
          "[bandwidth]") {
  const VethHost on;
  constexpr std::string_view kRuntime =
      R"(,"runtimeConfig":{"bandwidth":{"ingressRate":8000000,"ingressBurst":800000}})";
  const auto rate = [&](std::string_view members) {
    on.chained("bandwidth", concat(members, kRuntime)).add();
    return option(root_qdisc("host0"), "rate");
  };
  CHECK(rate(R"("ingressRate":16000000,"ingressBurst":800000)") == "2000000");
  CHECK(rate(R"("ingressRate":0)") == "1000000");
}

TEST_CASE("bandwidth ADD: rates and bursts at their bounds", "[bandwidth]") {
  const VethHost on;
  const auto [rate, burst, kernel_rate, kernel_burst] =
      GENERATE(table<std::string, std::string, std::string, std::string>(
          {{"8", "8", "1", ""},                // less than a frame: raised
           {"123", "456", "15", "1518"},       // the reference's own example
           {"8000", "12144", "1000", "1518"},  // exactly a frame
           {"1000000", "80000", "125000", "10000"},
           {"40000000000", "400000000", "5000000000", "50000000"},  // more than 32 bits
           {"400000000000", "400000000", "50000000000", "50000000"}}));
  on.chained("bandwidth", concat(R"("ingressRate":)", rate, R"(,"ingressBurst":)", burst)).add();
  INFO(rate << " " << burst << " " << root_qdisc("host0").dump());
  CHECK(option(root_qdisc("host0"), "rate") == kernel_rate);
  // tc computes it back from ticks, which wrap for the slowest.
  if (!kernel_burst.empty()) {
    const double shown = std::stod(option(root_qdisc("host0"), "burst"));
    CHECK(std::abs(shown / std::stod(kernel_burst) - 1) < 0.002);
  }
  CHECK(on.chained("bandwidth", concat(R"("ingressRate":)", rate, R"(,"ingressBurst":)", burst))
            .run("CHECK")
            .ok());
}

TEST_CASE("bandwidth ADD: a failed one leaves nothing", "[bandwidth]") {
  const VethHost on;
  const auto [members, code, text] = GENERATE(table<std::string, int, std::string>(
      {{R"("ingressRate":-1,"ingressBurst":8)", 7, "ingressRate"},
       {R"("ingressRate":8,"ingressBurst":-8)", 7, "ingressBurst"},
       {R"("ingressRate":"8","ingressBurst":8)", 7, "ingressRate"},
       {R"("ingressRate":8.5,"ingressBurst":8)", 7, "ingressRate"},
       {R"("ingressRate":99999999999999999999,"ingressBurst":8)", 7, "ingressRate"},
       {R"("ingressRate":1000)", 7, "burst must also be set"},
       {R"("egressBurst":1000)", 7, "rate must also be set"},
       {R"("ingressRate":7,"ingressBurst":8000)", 7, "at least 8 bit/s"},
       {R"("egressRate":8000,"egressBurst":34359738360)", 7, "4GB"},
       {R"("runtimeConfig":{"bandwidth":{"ingressRate":1000}})", 7,
        "runtimeConfig.bandwidth.ingressBurst"}}));
  INFO(members);
  const Snapshot before = snapshot_host();
  const Attachment attachment = on.chained("bandwidth", members);
  const Output output = attachment.run("ADD");
  CHECK(code_of(output) == code);
  CHECK_THAT(message_of(output), contains(text));
  CHECK(difference(before, snapshot_host()) == "");
  // The runtime's DEL that follows.
  CHECK(attachment.run("DEL").ok());
}

TEST_CASE("bandwidth ADD: what is in the way is refused, and nothing is left", "[bandwidth]") {
  const VethHost on;
  const Attachment attachment = on.chained("bandwidth", kBothWays);
  std::string conflict;
  SECTION("a root qdisc") {
    tool("tc qdisc add dev host0 root handle 5: htb");
    conflict = "htb";
  }
  SECTION("a token bucket of somebody else") {
    tool("tc qdisc add dev host0 root handle 5: tbf rate 1mbit burst 10000 limit 10000");
    conflict = "tbf";
  }
  SECTION("a link of the ifb's name") {
    attachment.add();
    conflict = ifbs().at(0);
    attachment.del();
    tool(concat("ip link add ", conflict, " type bridge"));
  }
  const Snapshot before = snapshot_host();
  const Output output = attachment.run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains(conflict));
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bandwidth ADD: the filters of others stay", "[bandwidth]") {
  const VethHost on;
  const Snapshot before = snapshot_host();
  const char* const place = GENERATE("clsact", "ingress");
  tool(concat("tc qdisc add dev host0 ", place));
  tool(concat("tc filter add dev host0 parent ", "ffff:fff2",
              " protocol ip pref 7 u32 match ip dst 192.0.2.0/24 classid 1:1"));
  const Attachment attachment = on.chained("bandwidth", kBothWays);
  attachment.add();
  CHECK_THAT(tool("tc filter show dev host0 ingress"), contains(ifbs().at(0)));
  CHECK(attachment.run("CHECK").ok());
  attachment.del();
  CHECK_THAT(tool("tc filter show dev host0 ingress"), contains("pref 7"));
  CHECK(redirected_to("host0") == "");
  tool(concat("tc qdisc del dev host0 ", place));
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bandwidth ADD: again, with the same and with other limits", "[bandwidth]") {
  const VethHost on;
  const Attachment attachment = on.chained("bandwidth", kBothWays);
  const cni::Json first = attachment.add();
  const Snapshot once = snapshot_host();
  CHECK(attachment.add().dump() == first.dump());
  CHECK(difference(once, snapshot_host()) == "");
  // With the result of the first, as a runtime that repeats itself might.
  CHECK(attachment.run("ADD", first).json().dump() == first.dump());
  on.chained("bandwidth", R"("ingressRate":8000000,"ingressBurst":80000,"egressRate":16000000,)"
                          R"("egressBurst":80000)")
      .add();
  CHECK(option(root_qdisc("host0"), "rate") == "1000000");
  CHECK(option(root_qdisc(ifbs().at(0)), "rate") == "2000000");
  CHECK(qdiscs_of("host0") == "clsact tbf");
}

TEST_CASE("bandwidth ADD: two interfaces of one container", "[bandwidth]") {
  const VethHost on;
  tool("ip link add host1 type veth peer name eth1 netns c1");
  const Attachment first = on.chained("bandwidth", kBothWays);
  Attachment second = first;
  second.ifname = "eth1";
  second.conf = with(
      second.conf, "prevResult",
      on.previous().set("interfaces", cni::Json::parse(R"([{"name":"host1"},{"name":"eth1"}])")));
  first.add();
  second.add();
  REQUIRE(ifbs().size() == 2);
  CHECK(redirected_to("host0") != redirected_to("host1"));
  first.del();
  CHECK(ifbs().size() == 1);
  CHECK(redirected_to("host1") == ifbs().at(0));
  CHECK(qdiscs_of("host1") == "clsact tbf");
  CHECK(second.run("CHECK").ok());
  second.del();
  CHECK(ifbs().empty());
}

TEST_CASE("bandwidth ADD: a prevResult about another veth is noticed", "[bandwidth]") {
  const VethHost on;
  Attachment attachment = on.chained("bandwidth", kBothWays);
  const cni::Json good = attachment.add();
  attachment.conf = with(attachment.conf, "prevResult", good);
  REQUIRE(attachment.run("CHECK").ok());
  attachment.del();
  const Snapshot before = snapshot_host();
  cni::Json stale = on.previous();
  std::string interfaces = stale.root()["interfaces"].text();
  interfaces.replace(interfaces.find("host0"), 5, "host9");
  stale.set("interfaces", cni::Json::parse(interfaces));
  attachment.conf = with(attachment.conf, "prevResult", stale);
  for (const auto* verb : {"ADD", "CHECK"}) {
    const Output output = attachment.run(verb);
    CHECK(code_of(output) == 7);
    CHECK(output.text().find("no veth peer of container interface found in host ns") !=
          std::string::npos);
    CHECK(output.text().find("host0") != std::string::npos);
  }
  CHECK(difference(before, snapshot_host()) == "");
  // Before 0.3.0 a result names no links, and then nothing can be stale.
  stale.erase("interfaces");
  attachment.conf = with(attachment.conf, "prevResult", stale);
  attachment.add();
  attachment.del();
}

TEST_CASE("bandwidth ADD: only a veth has an end on the host", "[bandwidth]") {
  const VethHost on;
  Attachment attachment = on.chained("bandwidth", kBothWays);
  const Snapshot before = snapshot_host();
  tool("ip link add br0 type bridge", on.inside());
  attachment.ifname = "br0";
  CHECK(code_of(attachment.run("ADD")) == 7);
  attachment.ifname = "none0";
  CHECK(code_of(attachment.run("ADD")) == 100);
  attachment.ifname = "v0";
  tool("ip link add v0 type veth peer name v1", on.inside());
  CHECK(code_of(attachment.run("ADD")) == 100);
  attachment.netns = "/proc/self/ns/net";
  CHECK(code_of(attachment.run("ADD")) == 8);
  attachment.conf = R"({"cniVersion":"1.1.0","name":"net1","type":"bandwidth"})";
  CHECK(code_of(attachment.run("ADD")) == 7);
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bandwidth ADD: packets pass, and not more than the limit allows", "[bandwidth]") {
  const VethHost on;
  address_both_ends(on);
  // 8 Mbit/s are 1,000,000 bytes a second; a frame has 1,442.
  on.chained("bandwidth", R"("ingressRate":8000000,"ingressBurst":160000,"egressRate":8000000,)"
                          R"("egressBurst":160000)")
      .add();
  CHECK(can_ping(on.host.net(), "10.1.2.3"));
  CHECK(tcp_peer_seen({on.host.net(), on.sandbox.net(), "10.1.2.3"}) == "10.1.2.1");
  CHECK(tcp_peer_seen({on.sandbox.net(), on.host.net(), "10.1.2.1"}) == "10.1.2.3");
  for (const auto& [from, to, link] : {std::tuple(&on.host.net(), "10.1.2.3", std::string("host0")),
                                       std::tuple(&on.sandbox.net(), "10.1.2.1", ifbs().at(0))}) {
    const auto [bytes, seconds] = flood(*from, to, link);
    INFO(link << ": " << bytes << " bytes in at most " << seconds << " s");
    CHECK(bytes > 10000);
    CHECK(static_cast<double>(bytes) <= 20000 + 1442 + seconds * 1'000'000);
  }
}

TEST_CASE("bandwidth ADD: large frames pass in spite of a tiny burst", "[bandwidth]") {
  const VethHost on;
  address_both_ends(on);
  on.chained("bandwidth", R"("ingressRate":8000000,"ingressBurst":8000,"egressRate":8000000,)"
                          R"("egressBurst":8000)")
      .add();
  tool("ping -c 3 -i 0.05 -W 5 -s 1472 -M do 10.1.2.3");
}
