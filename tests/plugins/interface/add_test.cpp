// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <algorithm>

#include "base/concat.h"
#include "plugins/interface/subject.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

cni::Json interface_of(const cni::Json& result) {
  for (const auto& one : result.root()["interfaces"].items()) {
    if (one["name"].string() == "eth0" && !one["sandbox"].string_or("").empty()) {
      return cni::Json(one);
    }
  }
  FAIL("no interface eth0 in a sandbox: " << result.dump(2));
  return {};
}

}  // namespace

TEST_CASE("interface ADD: what the result says is in the container", "[interface][add]") {
  const SubjectHost on;
  const cni::Json result = on.attachment().add();
  INFO(result.dump(2));
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["linkinfo"]["info_kind"].string() == kSubject.kind);
  CHECK_THAT(link.root()["flags"].text(), contains("\"UP\""));
  const cni::Json reported = interface_of(result);
  CHECK(reported.root()["mac"].string() == link.root()["address"].string());
  CHECK(reported.root()["mtu"].text() == link.root()["mtu"].text());
  CHECK(reported.root()["sandbox"].string() == on.sandbox.path());
  CHECK(addresses_of("eth0", on.inside()) ==
        std::vector<std::string>{"10.1.2.3/24", "2001:db8:1::3/64"});
  CHECK(tool("ip -6 addr show tentative", on.inside()).empty());
  for (const auto& ip : result.root()["ips"].items()) {
    const auto index = static_cast<std::size_t>(ip["interface"].int_or(-1, 0, 9));
    CHECK(result.root()["interfaces"].items().at(index)["name"].string() == "eth0");
  }
  const std::string v4 = tool("ip -4 route", on.inside());
  CHECK_THAT(v4, contains("default via 10.1.2.1 dev eth0"));
  CHECK_THAT(v4, contains("10.50.0.0/16 via 10.1.2.1 dev eth0"));
  CHECK_THAT(v4, contains("mtu 1300"));
  const std::string v6 = tool("ip -6 route", on.inside());
  CHECK_THAT(v6, contains("default via 2001:db8:1::1 dev eth0"));
  CHECK_THAT(v6, contains("2001:db8:50::/48 via 2001:db8:1::1 dev eth0 metric 77"));
}

TEST_CASE("interface ADD: the result in every version", "[interface][add]") {
  const SubjectHost on;
  const std::string version = GENERATE("0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0");
  const cni::Json result = on.attachment(subject_conf(version)).add();
  INFO(result.dump(2));
  CHECK(result.root()["cniVersion"].string() == version);
  if (version < "0.3.0") {
    CHECK(result.root()["ip4"]["ip"].string() == "10.1.2.3/24");
  } else {
    CHECK_FALSE(interface_of(result).root()["mtu"].written());
    CHECK(result.root()["ips"].items().size() == 2);
  }
}

TEST_CASE("interface ADD: without ipam", "[interface][add]") {
  const SubjectHost on;
  const std::string conf = plugin_conf(kSubject.plugin, kSubject.members);
  const Attachment attachment = on.attachment(conf);
  if (!kSubject.layer2) {
    CHECK(code_of(attachment.run("ADD")) == 7);
    CHECK(on.leftovers() == "");
    return;
  }
  const cni::Json result = attachment.add();
  CHECK_THAT(link_of("eth0", on.inside()).root()["flags"].text(), contains("\"UP\""));
  CHECK(addresses_of("eth0", on.inside()).empty());
  CHECK(attachment.run("CHECK", result).ok());
  attachment.del();
  CHECK(on.leftovers() == "");
  const Output old =
      on.attachment(plugin_conf(kSubject.plugin, kSubject.members, "0.2.0")).run("ADD");
  CHECK_FALSE(old.ok());
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface ADD: one that fails leaves nothing", "[interface][add]") {
  const SubjectHost on;
  Attachment attachment = on.attachment();
  SECTION("the IPAM plugin fails") {
    attachment.plugin_path = install_script(
        on.host, "host-local",
        R"(case $CNI_COMMAND in ADD) echo '{"code":11,"msg":"full"}'; exit 1;; esac)");
    CHECK(code_of(attachment.run("ADD")) == 11);
  }
  SECTION("the IPAM plugin gives no address") {
    attachment.plugin_path =
        install_script(on.host, "host-local", R"(echo '{"cniVersion":"1.1.0","ips":[]}')");
    CHECK(code_of(attachment.run("ADD")) == 103);
  }
  SECTION("a route that cannot be") {
    attachment.plugin_path =
        install_script(on.host, "host-local",
                       R"(echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.9/24"}],)"
                       R"("routes":[{"dst":"10.7.0.0/16","gw":"10.99.0.1"}]}')");
    CHECK(code_of(attachment.run("ADD")) == 100);
  }
  SECTION("no such namespace") {
    attachment.netns = "/run/netns/missing";
    CHECK(code_of(attachment.run("ADD")) == 3);
  }
  SECTION("the host's own namespace") {
    attachment.netns = "/proc/self/ns/net";
    CHECK(code_of(attachment.run("ADD")) == 8);
  }
  SECTION("a result that cannot be written") {
    const Output output = run(
        {.argv = {"sh", "-c", concat("exec ", our_bin_dir(), "/", kSubject.plugin, " > /dev/full")},
         .env = attachment.command("ADD").env,
         .input = attachment.conf});
    CHECK_FALSE(output.ok());
  }
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface ADD: the container has an interface of this name", "[interface][add]") {
  const SubjectHost on;
  SECTION("of somebody else") {
    tool("ip link add eth0 type bridge", on.inside());
    CHECK(code_of(on.attachment().run("ADD")) == 102);
    on.attachment().del();
    CHECK(link_of("eth0", on.inside()).root()["linkinfo"]["info_kind"].string() == "bridge");
    CHECK(difference(on.before, snapshot_host().without_hints()) == "");
  }
  SECTION("of an earlier ADD") {
    const cni::Json result = on.attachment().add();
    CHECK(code_of(on.attachment().run("ADD")) == 102);
    CHECK(on.attachment().run("CHECK", result).ok());
    on.attachment().del();
    CHECK(on.leftovers() == "");
  }
  SECTION("of another network") {
    const cni::Json result = on.attachment().add();
    const Attachment second =
        on.attachment(with(subject_conf("1.1.0", "net2"), "ipam",
                           cni::Json::parse(R"({"type":"host-local","subnet":"10.7.0.0/24"})")));
    CHECK(code_of(second.run("ADD")) == 102);
    second.del();
    CHECK(on.attachment().run("CHECK", result).ok());
  }
}

TEST_CASE("interface ADD: the host has an interface of this name", "[interface][add]") {
  const SubjectHost on;
  tool("ip link add eth0 type veth peer name eth0-peer");
  tool("ip link set eth0 mtu 1234");
  const cni::Json result = on.attachment().add();
  CHECK(on.attachment().run("CHECK", result).ok());
  on.attachment().del();
  CHECK_FALSE(has_link("eth0", on.inside()));
  CHECK(link_of("eth0").root()["mtu"].text() == "1234");
}

TEST_CASE("interface ADD: two interfaces of one container", "[interface][add]") {
  const SubjectHost on;
  Attachment first = on.attachment();
  Attachment second = first;
  second.ifname = "net1";
  const cni::Json one = first.add();
  // The first one's default route is not to be had twice.
  second.conf = with(second.conf, "ipam",
                     cni::Json::parse(R"({"type":"host-local","subnet":"10.1.2.0/24"})"));
  second.add();
  CHECK(first.run("CHECK", one).ok());
  first.del();
  CHECK(has_link("net1", on.inside()));
  second.del();
  CHECK(on.leftovers() == "");
}
