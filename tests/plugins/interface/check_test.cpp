// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// CHECK compares everything that ADD made; STATUS says what ADD would need.
#include "base/concat.h"
#include "plugins/interface/subject.h"
#include "plugins/mutation.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

TEST_CASE("interface CHECK: notices what is changed in the container and names it",
          "[interface][check]") {
  const SubjectHost on;
  const Attachment attachment = on.attachment();
  const cni::Json result = attachment.add();
  const Output unchanged = attachment.run("CHECK", result);
  INFO(unchanged.text());
  REQUIRE(unchanged.ok());
  const cni::Json link = link_of("eth0", on.inside());
  const auto notice = [&](const std::string& change, const std::string& back,
                          const std::string& named) {
    require_noticed(attachment, result, {change, back, named, on.inside()});
  };
  const std::string mtu = link.root()["mtu"].text();
  notice("ip link set eth0 mtu 1388", concat("ip link set eth0 mtu ", mtu), "MTU 1388");
  if (kSubject.chooses_mac) {
    notice("ip link set eth0 address 02:00:00:00:00:99",
           concat("ip link set eth0 address ", link.root()["address"].string()),
           "02:00:00:00:00:99");
  }
  notice("ip route del 10.50.0.0/16", "ip route add 10.50.0.0/16 via 10.1.2.1 dev eth0 mtu 1300",
         "10.50.0.0/16");
  notice("ip route change 10.50.0.0/16 via 10.1.2.1 dev eth0 mtu 1299",
         "ip route change 10.50.0.0/16 via 10.1.2.1 dev eth0 mtu 1300", "10.50.0.0/16");
  notice("ip route change default via 10.1.2.7 dev eth0 onlink",
         "ip route change default via 10.1.2.1 dev eth0", "0.0.0.0/0");
  notice("ip -6 route del 2001:db8:50::/48",
         "ip -6 route add 2001:db8:50::/48 via 2001:db8:1::1 dev eth0 metric 77",
         "2001:db8:50::/48");
  SECTION("an IPv6 address") {
    notice("ip addr del 2001:db8:1::3/64 dev eth0", "", "2001:db8:1::3/64");
  }
  SECTION("an IPv4 address") { notice("ip addr del 10.1.2.3/24 dev eth0", "", "10.1.2.3/24"); }
  SECTION("down") { notice("ip link set eth0 down", "", "eth0"); }
  SECTION("another name") {
    tool("ip link set eth0 down", on.inside());
    notice("ip link set eth0 name net7", "", "eth0");
  }
  SECTION("missing") { notice("ip link del eth0", "", "eth0"); }
  SECTION("of another kind") {
    tool("ip link del eth0", on.inside());
    notice("ip link add eth0 type bridge", "", "eth0");
  }
  SECTION("a lease") {
    tool("rm /var/lib/cni/networks/net1/10.1.2.3");
    CHECK(code_of(attachment.run("CHECK", result)) == 101);
  }
}

TEST_CASE("interface CHECK: what is missing in the call", "[interface][check]") {
  const SubjectHost on;
  const Attachment attachment = on.attachment();
  cni::Json result = attachment.add();
  CHECK(code_of(attachment.run("CHECK")) == 7);
  result.set("interfaces", cni::Json::array());
  CHECK(code_of(attachment.run("CHECK", result)) == 101);
}

TEST_CASE("interface STATUS: ready, and changes nothing", "[interface][status]") {
  const SubjectHost on;
  const Output output = on.attachment().run("STATUS");
  INFO(output.text());
  CHECK(output.ok());
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface STATUS: 50 and the reason when ADD could not work", "[interface][status]") {
  const SubjectHost on;
  const std::string conf =
      with(subject_conf(), "ipam", cni::Json::parse(R"({"type":"not-there"})"));
  const Output missing = on.attachment(conf).run("STATUS");
  CHECK(code_of(missing) == 50);
  CHECK_THAT(message_of(missing), contains("not-there"));
  CHECK(code_of(on.attachment(with(subject_conf(), "mtu", "much")).run("STATUS")) == 7);
}
