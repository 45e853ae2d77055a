// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Long names, many routes, addresses as people write them.
#include "base/concat.h"
#include "plugins/interface/subject.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

TEST_CASE("interface: ids and network names of any length", "[interface][limits]") {
  const SubjectHost on;
  std::string network = "n";
  std::string id(198, 'c');
  SECTION("a long id") {}
  SECTION("a longer one") { id.assign(230, 'c'); }
  SECTION("a long name of the network") {
    network.assign(135, 'n');
    id.assign(64, '7');
  }
  Attachment attachment = on.attachment(
      with(subject_conf("1.1.0", network), "ipam",
           cni::Json::parse(
               R"({"type":"host-local","subnet":"10.1.2.0/24","rangeStart":"10.1.2.100"})")));
  attachment.id = id;
  const cni::Json result = attachment.add();
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK_FALSE(has_link("eth0", on.inside()));
}

TEST_CASE("interface: routes whose destination has host bits", "[interface][limits]") {
  const SubjectHost on;
  const std::string conf = with(subject_conf(), "ipam", cni::Json::parse(R"({"type":"host-local",
        "ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]],
        "routes":[{"dst":"2001:db8:5::1/64"},{"dst":"2001:db8:5::2/64"},{"dst":"10.5.0.7/16"}]})"));
  const Attachment attachment = on.attachment(conf);
  const cni::Json result = attachment.add();
  CHECK_THAT(tool("ip -6 route", on.inside()), contains("2001:db8:5::/64 via 2001:db8:1::1"));
  CHECK_THAT(tool("ip route", on.inside()), contains("10.5.0.0/16 via 10.1.2.1"));
  const Output output = attachment.run("CHECK", result);
  INFO(output.text());
  CHECK(output.ok());
}

TEST_CASE("interface: thousands of routes", "[interface][limits][one-kernel]") {
  const SubjectHost on;
  constexpr int kRoutes = 3000;
  std::string routes;
  for (int i = 0; i < kRoutes; ++i) {
    routes += concat(routes.empty() ? "" : ",", R"({"dst":"10.)", 64 + i / 256, ".", i % 256,
                     R"(.0/24","gw":"10.1.2.1"})");
  }
  Attachment attachment = on.attachment(
      with(subject_conf(), "ipam",
           cni::Json::parse(concat(R"({"type":"static","addresses":[{"address":"10.1.2.9/24",)",
                                   R"("gateway":"10.1.2.1"}],"routes":[)", routes, "]}"))));
  const cni::Json result = attachment.add();
  const std::string installed = tool("ip route", on.inside());
  CHECK(std::count(installed.begin(), installed.end(), '\n') >= kRoutes);
  CHECK(attachment.run("CHECK", result).ok());
  tool("ip route del 10.70.3.0/24", on.inside());
  CHECK_THAT(message_of(attachment.run("CHECK", result)), contains("10.70.3.0/24"));
}

TEST_CASE("interface: IPv6 on an MTU that is too small for it", "[interface][limits]") {
  const SubjectHost on;
  const Output output = on.attachment(with(subject_conf(), "mtu", 1200)).run("ADD");
  CHECK(code_of(output) == 100);
  CHECK_THAT(message_of(output), contains("1280"));
  // A bridge follows its ports' MTU and loses its own IPv6 addresses.
  if (std::string_view(kSubject.plugin) != "bridge") CHECK(on.leftovers() == "");
}
