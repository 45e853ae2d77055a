// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Every key of the configuration, seen in the kernel and by packets.
#include "base/concat.h"
#include "model/ip.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kV4 =
    R"("ipam":{"type":"host-local","subnet":"10.1.2.0/24","routes":[{"dst":"0.0.0.0/0"}]})";
constexpr std::string_view kDual =
    R"("ipMasq":true,"ipam":{"type":"host-local",)"
    R"("ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]],)"
    R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})";

std::string ptp_conf(std::string_view members, std::string_view version = "1.1.0") {
  return plugin_conf("ptp", members, version);
}

Attachment attachment_of(const TestSandbox& sandbox, const std::string& conf,
                         const std::string& id = "c1") {
  return {.conf = conf, .netns = sandbox.path(), .id = id, .plugin = "ptp"};
}

struct Added {
  TestHost host;
  TestSandbox sandbox{"c1"};
  Attachment attachment;
  cni::Json result;
  std::string host_end;

  explicit Added(const std::string& conf)
      : attachment(attachment_of(sandbox, conf)), result(attachment.add()) {
    const cni::Json links = tool_json("ip -j link show type veth");
    host_end = links.root().items().at(0)["ifname"].string();
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
};

}  // namespace

TEST_CASE("ptp ADD: the complete state of a dual-stack attachment", "[ptp][add]") {
  const Added added(ptp_conf(concat(R"("mtu":1400,)", kDual)));
  // The host's side.
  const cni::Json host_end = link_of(added.host_end);
  CHECK(host_end.root()["mtu"].text() == "1400");
  CHECK(host_end.root()["txqlen"].int_or(0, 0, 9999) == 0);
  CHECK_THAT(host_end.root()["ifalias"].string(), contains("c1"));
  CHECK(addresses_of(added.host_end) ==
        std::vector<std::string>{"10.1.2.1/32", "2001:db8:1::1/128"});
  CHECK(tool("ip -4 route show 10.1.2.2") ==
        concat("10.1.2.2 dev ", added.host_end, " scope host \n"));
  CHECK_THAT(tool("ip -6 route show 2001:db8:1::2"), contains(concat("dev ", added.host_end)));
  CHECK(tool("ip -6 addr show tentative").empty());
  CHECK(added.host.net().sysctl(concat("net/ipv6/conf/", added.host_end, "/accept_ra")) == "0");
  CHECK(added.host.net().sysctl("net/ipv4/ip_forward") == "1");
  CHECK(added.host.net().sysctl("net/ipv6/conf/all/forwarding") == "1");
  CHECK(masqueraded() == std::vector<std::string>{"10.1.2.2", "2001:db8:1::2"});
  // The container's.
  const cni::Json eth0 = link_of("eth0", added.inside());
  CHECK(eth0.root()["mtu"].text() == "1400");
  CHECK(addresses_of("eth0", added.inside()) ==
        std::vector<std::string>{"10.1.2.2/24", "2001:db8:1::2/64"});
  CHECK(tool("ip -6 addr show tentative", added.inside()).empty());
  CHECK(tool("ip -4 route", added.inside()) ==
        "default via 10.1.2.1 dev eth0 \n"
        "10.1.2.0/24 via 10.1.2.1 dev eth0 src 10.1.2.2 \n"
        "10.1.2.1 dev eth0 scope link src 10.1.2.2 \n");
  const std::string v6 = tool("ip -6 route", added.inside());
  CHECK_THAT(v6, contains("2001:db8:1::1 dev eth0 src 2001:db8:1::2 metric 1024"));
  CHECK_THAT(v6, contains("2001:db8:1::/64 via 2001:db8:1::1 dev eth0 src 2001:db8:1::2"));
  CHECK_THAT(v6, contains("default via 2001:db8:1::1 dev eth0"));
  // The result.
  const auto root = added.result.root();
  const auto interfaces = root["interfaces"].items();
  REQUIRE(interfaces.size() == 2);
  CHECK(interfaces[0]["name"].string() == added.host_end);
  CHECK(interfaces[0]["mac"].string() == host_end.root()["address"].string());
  CHECK_FALSE(interfaces[0]["sandbox"].written());
  CHECK(interfaces[1]["name"].string() == "eth0");
  CHECK(interfaces[1]["mac"].string() == eth0.root()["address"].string());
  CHECK(interfaces[1]["mtu"].text() == "1400");
  CHECK(interfaces[1]["sandbox"].string() == added.sandbox.path());
  REQUIRE(root["ips"].items().size() == 2);
  for (const auto& ip : root["ips"].items()) CHECK(ip["interface"].text() == "1");
  CHECK(root["routes"].text() == R"([{"dst":"0.0.0.0/0"},{"dst":"::/0"}])");
}

TEST_CASE("ptp ADD: containers reach each other, the host and the outside at once", "[ptp][add]") {
  const TestHost host;
  const OutsideHost outside(host);
  const TestSandbox a("a"), b("b");
  for (const auto* sandbox : {&a, &b}) {
    attachment_of(*sandbox, ptp_conf(kDual), sandbox == &a ? "a" : "b").add();
  }
  for (const auto& [own, other, gateway, far, masqueraded_as] :
       {std::tuple("10.1.2.2", "10.1.2.3", "10.1.2.1", OutsideHost::kV4, OutsideHost::kHostV4),
        std::tuple("2001:db8:1::2", "2001:db8:1::3", "2001:db8:1::1", OutsideHost::kV6,
                   OutsideHost::kHostV6)}) {
    INFO(own);
    CHECK(tcp_peer_seen({a.net(), b.net(), other}) == std::string(own));
    CHECK(udp_peer_seen({b.net(), a.net(), own}) == std::string(other));
    CHECK(tcp_peer_seen({a.net(), host.net(), gateway}) == std::string(own));
    CHECK(tcp_peer_seen({host.net(), a.net(), own}) == std::string(gateway));
    CHECK(tcp_peer_seen({a.net(), outside.net(), far}) == std::string(masqueraded_as));
  }
}

TEST_CASE("ptp ADD: the container's subnet stays behind the gateway when the link comes back",
          "[ptp][add]") {
  const Added added(ptp_conf(kV4));
  tool("ip link set eth0 down", added.inside());
  tool("ip link set eth0 up", added.inside());
  CHECK(tool("ip -4 route show 10.1.2.0/24", added.inside()) == "");
}

TEST_CASE("ptp ADD: the result in every version", "[ptp][add]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  const Added added(ptp_conf(kDual, version));
  const auto root = added.result.root();
  INFO(added.result.dump(2));
  CHECK(root["cniVersion"].string() == version);
  CHECK(root["dns"].written() == (version < "1.0.0"));
  if (version < "0.3.0") {
    CHECK(root["ip4"]["ip"].string() == "10.1.2.2/24");
    CHECK(root["ip6"]["gateway"].string() == "2001:db8:1::1");
    return;
  }
  CHECK(root["interfaces"].items().size() == 2);
  CHECK(root["interfaces"].items()[0]["mtu"].written() == (version == "1.1.0"));
  if (version >= "0.4.0") {
    const Output check = added.attachment.run("CHECK", added.result);
    INFO(check.text());
    CHECK(check.ok());
  }
  added.attachment.del();
}

TEST_CASE("ptp ADD: addresses without gateway, and subnets of one address", "[ptp][add]") {
  const auto& [addresses, gateways] = GENERATE(table<const char*, const char*>({
      {R"({"address":"10.5.0.9/32"},{"address":"fd05::9/128"})", R"(["169.254.1.1","fe80::1"])"},
      {R"({"address":"10.5.0.9/31"},{"address":"fd05::9/127"})", R"(["169.254.1.1","fe80::1"])"},
      {R"({"address":"10.5.0.9/24"},{"address":"fd05::9/64"})", R"(["10.5.0.1","fd05::1"])"},
      {R"({"address":"10.5.0.1/24"},{"address":"fd05::1/64"})", R"(["169.254.1.1","fe80::1"])"},
      {R"({"address":"10.5.0.9/32","gateway":"10.5.0.254"},{"address":"fd05::9/128","gateway":"fd05::ff"})",
       R"(["10.5.0.254","fd05::ff"])"},
  }));
  INFO(addresses);
  const Added added(ptp_conf(concat(R"("ipam":{"type":"static","addresses":[)", addresses,
                                    R"(],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})")));
  const auto ips = added.result.root()["ips"].items();
  const cni::Json expected = cni::Json::parse(gateways);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string gateway = ips[i]["gateway"].string();
    CHECK(gateway == expected.root().items()[i].string());
    const std::string own = cni::IpNet::parse(ips[i]["address"].string()).address.text();
    CHECK(can_ping(added.host.net(), own));
    if (gateway.starts_with("fe80")) continue;  // is not an address without its link
    CHECK(tcp_peer_seen({added.sandbox.net(), added.host.net(), gateway}) == own);
  }
  CHECK(added.attachment.run("CHECK", added.result).ok());
}

TEST_CASE("ptp ADD: a link-local gateway carries traffic", "[ptp][add]") {
  const TestHost host;
  const OutsideHost outside(host);
  const TestSandbox sandbox("c1");
  attachment_of(sandbox, ptp_conf(R"("ipMasq":true,"ipam":{"type":"static","addresses":[
    {"address":"10.5.0.9/32"},{"address":"fd05::9/128"}],
    "routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})"))
      .add();
  CHECK(tcp_peer_seen({sandbox.net(), outside.net(), OutsideHost::kV4}) ==
        std::string(OutsideHost::kHostV4));
  CHECK(tcp_peer_seen({sandbox.net(), outside.net(), OutsideHost::kV6}) ==
        std::string(OutsideHost::kHostV6));
}

TEST_CASE("ptp ADD: several subnets of one family, a route of IPAM to the own subnet",
          "[ptp][add]") {
  const Added added(ptp_conf(R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}],
    [{"subnet":"10.1.3.0/24"}]],"routes":[{"dst":"10.1.2.0/24","mtu":1300},{"dst":"0.0.0.0/0"}]})"));
  const std::string routes = tool("ip -4 route", added.inside());
  CHECK_THAT(routes, contains("10.1.2.0/24 via 10.1.2.1 dev eth0 mtu 1300"));
  CHECK_THAT(routes, contains("10.1.3.0/24 via 10.1.3.1 dev eth0 src 10.1.3.2"));
  CHECK(addresses_of(added.host_end) == std::vector<std::string>{"10.1.2.1/32", "10.1.3.1/32"});
  CHECK(added.attachment.run("CHECK", added.result).ok());
}

TEST_CASE("ptp ADD: dns of the configuration replaces IPAM's as a whole", "[ptp][add]") {
  const auto& [dns, expected] = GENERATE(table<const char*, const char*>({
      {R"({"nameservers":["1.1.1.1"]})", R"({"nameservers":["1.1.1.1"]})"},
      {R"({"search":[]})", "null"},
      {"{}", R"({"nameservers":["9.9.9.9"]})"},
      {"null", R"({"nameservers":["9.9.9.9"]})"},
  }));
  const TestHost host;
  const TestSandbox sandbox("c1");
  Attachment attachment =
      attachment_of(sandbox, ptp_conf(concat(R"("ipam":{"type":"fixed"},"dns":)", dns)));
  attachment.plugin_path = install_fixed_ipam(host, R"({"cniVersion":"1.1.0",
    "ips":[{"address":"10.1.2.3/24"}],"dns":{"nameservers":["9.9.9.9"]}})");
  INFO(dns);
  CHECK(attachment.add().root()["dns"].text() == expected);
}

TEST_CASE("ptp ADD: ipMasqBackend iptables", "[ptp][add]") {
  if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) return;
  const Added added(ptp_conf(concat(R"("ipMasqBackend":"iptables",)", kDual)));
  CHECK_THAT(tool("iptables-save -t nat"), contains("-A POSTROUTING -s 10.1.2.2/32"));
  CHECK_THAT(tool("ip6tables-save -t nat"), contains("-A POSTROUTING -s 2001:db8:1::2/128"));
  CHECK(masqueraded().empty());
  CHECK(added.attachment.run("CHECK", added.result).ok());
  added.attachment.del();
  CHECK(tool("iptables-save -t nat").find("CNI-") == std::string::npos);
}

TEST_CASE("ptp ADD: IPv6 that the host switched off for new links is switched on", "[ptp][add]") {
  const TestHost host;
  host.net().set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
  const TestSandbox sandbox("c1");
  sandbox.net().set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
  attachment_of(sandbox, ptp_conf(kDual)).add();
  CHECK(can_ping(sandbox.net(), "2001:db8:1::1"));
}

TEST_CASE("ptp ADD: refused configurations make nothing", "[ptp][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  for (const auto& [members, named] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"("ipMasq":"true",)"
            R"("ipam":{"type":"host-local"})",
            "ipMasq"},
           {R"("mtu":"1500","ipam":{"type":"host-local"})", "mtu"},
           {R"("mtu":70000,"ipam":{"type":"host-local"})", "mtu"},
           {R"("ipMasqBackend":"pf","ipam":{"type":"host-local"})", "ipMasqBackend"},
           {R"("dns":5,"ipam":{"type":"host-local"})", "dns"}}) {
    const Output output = attachment_of(sandbox, ptp_conf(members)).run("ADD");
    INFO(members << ": " << output.text());
    CHECK(code_of(output) == 7);
    CHECK_THAT(message_of(output), contains(named));
  }
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("ptp ADD: an unusable answer of IPAM fails, and all is undone", "[ptp][add]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  const char* const answer =
      GENERATE(R"({"cniVersion":"1.1.0"})", "null", "no json",
               R"({"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24","gateway":"10.1.2.3"}]})");
  Attachment attachment =
      attachment_of(sandbox, ptp_conf(R"("ipMasq":true,"ipam":{"type":"fixed"})"));
  attachment.plugin_path = install_fixed_ipam(host, answer);
  const Output output = attachment.run("ADD");
  INFO(answer << output.text());
  CHECK(code_of(output) == 103);
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("ptp ADD: an address that another container has is refused, and harms nothing",
          "[ptp][add]") {
  const auto* address = GENERATE("10.5.0.9/24", "fd05::9/64");
  const TestHost host;
  const TestSandbox first("a"), second("b");
  const std::string conf = ptp_conf(concat(
      R"("ipMasq":true,"ipam":{"type":"static","addresses":[{"address":")", address, "\"}]}"));
  const Attachment one = attachment_of(first, conf, "a");
  const cni::Json result = one.add();
  const Snapshot before = snapshot_host().only("link addr route nft");
  const Output output = attachment_of(second, conf, "b").run("ADD");
  INFO(output.text());
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains(cni::IpNet::parse(address).address.text()));
  CHECK(difference(before, snapshot_host().only("link addr route nft")) == "");
  CHECK(one.run("CHECK", result).ok());
}

TEST_CASE("ptp ADD: a second ADD of the same attachment is refused and harms nothing",
          "[ptp][add]") {
  const Added added(ptp_conf(kDual));
  const Snapshot before = snapshot_host().only("link route nft file");
  CHECK(code_of(added.attachment.run("ADD")) == 102);
  const TestSandbox elsewhere("c9");
  Attachment moved = added.attachment;
  moved.netns = elsewhere.path();
  CHECK(code_of(moved.run("ADD")) == 102);
  CHECK(added.attachment.run("CHECK", added.result).ok());
  std::string last;
  CHECK(eventually([&] {
    last = difference(before, snapshot_host().only("link route nft file"));
    return last.empty();
  }));
  CHECK(last == "");
}

TEST_CASE("ptp ADD: many containers at once", "[ptp][add]") {
  constexpr int kCount = 24;
  const TestHost host;
  const Snapshot before = snapshot_host().only("link addr nft");
  std::vector<TestSandbox> sandboxes;
  std::vector<Command> adds, dels;
  for (int i = 0; i < kCount; ++i) {
    sandboxes.emplace_back(concat("c", i));
    const Attachment one = attachment_of(sandboxes.back(), ptp_conf(kDual), concat("c", i));
    adds.push_back(one.command("ADD"));
    dels.push_back(one.command("DEL"));
  }
  for (const Output& output : run_parallel(adds)) {
    INFO(output.text());
    CHECK(output.ok());
  }
  CHECK(masqueraded().size() == 2 * kCount);
  CHECK(can_ping(sandboxes.front().net(), "10.1.2.1"));
  for (const Output& output : run_parallel(dels)) CHECK(output.ok());
  CHECK(run_gc(ptp_conf(kDual), {}).ok());
  CHECK(difference(before, snapshot_host().only("link addr nft")) == "");
  CHECK(leases_of().empty());
}
