// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The plugin and its daemon with real servers. What a server believes is read from its own files.
#include <algorithm>
#include <filesystem>

#include "base/concat.h"
#include "base/fd.h"
#include "ipam/dhcp_lan.h"
#include "support/catch.h"
#include "support/poll.h"

using namespace cni::test;
using cni::concat;
using cni::Json;
using cni::read_file;
using Strings = std::vector<std::string>;

namespace {

int code_of(const Output& output) {
  if (output.ok()) return 0;
  const Json json = output.json();
  return static_cast<int>(json.root()["code"].int_or(-1, -1, 99999));
}

Strings addresses_of(const Output& output) {
  Strings out;
  const Json json = output.json();
  for (const auto& ip : json.root()["ips"].items()) out.push_back(ip["address"].string());
  return out;
}

std::vector<std::string> lease_files() {
  Strings out;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(concat(kDhcpSocket, ".d"), none)) {
    const std::string name = entry.path().filename().string();
    if (name != "lock") out.push_back(name);
  }
  return out;
}

/// Lines of dnsmasq's lease file.
std::size_t leased(const Lan& lan) {
  std::error_code none;
  if (!std::filesystem::exists(lan.file("dnsmasq.leases"), none)) return 0;
  const std::string text = read_file(lan.file("dnsmasq.leases"));
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

Strings addresses_on(const std::string& link, const TestNamespace& net) {
  Strings out;
  const Json json = tool_json(concat("ip -j -4 addr show dev ", link), &net);
  for (const auto& item : json.root().items()) {
    for (const auto& address : item["addr_info"].items()) {
      out.push_back(concat(address["local"].string(), "/", address["prefixlen"].int_or(0, 0, 32)));
    }
  }
  return out;
}

Strings link_names() {
  Strings out;
  const Json json = tool_json("ip -j link");
  for (const auto& link : json.root().items()) out.push_back(link["ifname"].string());
  return out;
}

DhcpServer server_called(const std::string& name, const Lan& lan) {
  if (name == "dnsmasq") return dnsmasq(lan);
  if (name == "kea") return kea(lan);
  if (name == "isc") return isc(lan);
  return udhcpd(lan);
}

}  // namespace

TEST_CASE("dhcp ADD: a lease of every server, DEL gives it back", "[dhcp]") {
  const std::string name = GENERATE(as<std::string>{}, "dnsmasq", "kea", "isc", "udhcpd");
  const Lan lan;
  const Process server = Process::start(server_called(name, lan).command);
  const DhcpDaemon daemon;
  const TestSandbox c1 = lan.container("c1");
  CAPTURE(name);

  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  INFO(added.text());
  REQUIRE(added.ok());
  const Json json = added.json();
  const cni::JsonRef root = json.root();
  REQUIRE(addresses_of(added).size() == 1);
  const std::string address = addresses_of(added)[0];
  REQUIRE_THAT(address, contains("10.0.0.1"));
  REQUIRE_THAT(address, contains("/24"));
  REQUIRE(root["ips"].items()[0]["gateway"].string() == "10.0.0.1");
  REQUIRE(root["routes"].items().at(0)["dst"].string() == "0.0.0.0/0");
  REQUIRE(root["routes"].items()[0]["gw"].string() == "10.0.0.1");
  REQUIRE(root["dns"]["nameservers"].strings() == Strings{"10.0.0.53"});
  REQUIRE(root["dns"]["domain"].string() == "lab.test");
  REQUIRE(lease_files().size() == 1);

  // The same attachment again: the same lease.
  REQUIRE(addresses_of(run_plugin(dhcp_call("ADD", "c1"))) == Strings{address});
  REQUIRE(run_plugin(dhcp_call("DEL", "c1")).ok());
  REQUIRE(lease_files().empty());
  REQUIRE(run_plugin(dhcp_call("DEL", "c1")).ok());
}

TEST_CASE("dhcp DEL: the server has the address back", "[dhcp]") {
  const Lan lan;
  const Process server = Process::start(dnsmasq(lan).command);
  const DhcpDaemon daemon;
  const TestSandbox c1 = lan.container("c1");
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE(eventually([&] { return leased(lan) == 1; }));
  REQUIRE(run_plugin(dhcp_call("DEL", "c1")).ok());
  REQUIRE(eventually([&] { return leased(lan) == 0; }));
}

TEST_CASE("dhcp: a bridge with it: addresses, routes on the link first, and all away again",
          "[dhcp]") {
  const Lan lan;
  const Process server =
      Process::start(dnsmasq(lan, {"--dhcp-option=121,192.168.9.1/32,0.0.0.0,0.0.0.0/0,192.168.9.1",
                                   "--dhcp-option=119,a.test,b.test", "--dhcp-option=26,1400"})
                         .command);
  const DhcpDaemon daemon;
  const TestSandbox c1("c1");
  const Strings before = link_names();
  PluginCall call = dhcp_call("ADD", "c1");
  call.plugin = "bridge";
  call.config = with(with(dhcp_conf(), "type", "bridge"), "bridge", "br0");
  const Output added = run_plugin(call);
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE(addresses_on("eth0", c1.net()) == addresses_of(added));
  const Json routes = tool_json("ip -j route", &c1.net());
  Strings seen;
  for (const auto& route : routes.root().items()) {
    seen.push_back(concat(route["dst"].string(), " via ", route["gateway"].string_or("the link")));
  }
  std::sort(seen.begin(), seen.end());
  REQUIRE(seen == Strings{"10.0.0.0/24 via the link", "192.168.9.1 via the link",
                          "default via 192.168.9.1"});
  REQUIRE(routes.root().items()[0]["metrics"].items().at(0)["mtu"].int_or(0, 0, 9999) == 1400);
  const Json json = added.json();
  REQUIRE(json.root()["dns"]["search"].strings() == Strings{"a.test", "b.test"});
  call.command = "CHECK";
  call.config = with(call.config, "prevResult", added.json());
  const Output checked = run_plugin(call);
  INFO(checked.text());
  REQUIRE(checked.ok());
  REQUIRE(eventually([&] { return leased(lan) == 1; }));
  call.command = "DEL";
  REQUIRE(run_plugin(call).ok());
  REQUIRE(eventually([&] { return leased(lan) == 0; }));
  REQUIRE(eventually([&] { return link_names() == before; }));
}

TEST_CASE("dhcp: a bridge whose ADD fails later gives the lease back", "[dhcp]") {
  const Lan lan;
  const Process server = Process::start(dnsmasq(lan, {}).command);
  const DhcpDaemon daemon;
  const TestSandbox c1("c1");
  const Strings before = link_names();
  PluginCall call = dhcp_call("ADD", "c1");
  call.plugin = "bridge";
  call.config = with(with(with(dhcp_conf(), "type", "bridge"), "bridge", "br0"), "ipMasq",
                     cni::Json::parse("true"));
  // Masquerading comes last, and somebody else's chain has its name.
  tool("nft add table inet cnipp");
  tool("nft add chain inet cnipp masq-postrouting");
  const Output added = run_plugin(call);
  INFO(added.text());
  REQUIRE_FALSE(added.ok());
  REQUIRE(lease_files().empty());
  REQUIRE(eventually([&] { return leased(lan) == 0; }));
  REQUIRE(eventually([&] { return link_names() == before; }));
}

TEST_CASE("dhcp: without a daemon", "[dhcp]") {
  const Lan lan;
  const TestSandbox c1 = lan.container("c1");
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  REQUIRE(code_of(added) == 11);
  REQUIRE_THAT(added.out, contains("error dialing DHCP daemon"));
  REQUIRE_THAT(added.out, contains("systemctl start"));
  REQUIRE(run_plugin(dhcp_call("DEL", "c1")).ok());
  REQUIRE(code_of(run_plugin(dhcp_call("STATUS", "c1"))) == 50);
}

TEST_CASE("dhcp STATUS, CHECK", "[dhcp]") {
  const Lan lan;
  const Process server = Process::start(dnsmasq(lan).command);
  const DhcpDaemon daemon;
  const TestSandbox c1 = lan.container("c1");
  REQUIRE(run_plugin(dhcp_call("STATUS", "c1")).ok());
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  INFO(added.text());
  REQUIRE(added.ok());
  const std::string conf = with(dhcp_conf(), "prevResult", added.json());
  REQUIRE(run_plugin(dhcp_call("CHECK", "c1", conf)).ok());
  Json other = added.json();
  Json ip = Json::object();
  ip.set("address", "10.0.0.9/24");
  other.set("ips", Json::array().push(ip));
  REQUIRE(code_of(run_plugin(dhcp_call("CHECK", "c1", with(dhcp_conf(), "prevResult", other)))) ==
          101);
  REQUIRE(run_plugin(dhcp_call("DEL", "c1")).ok());
  REQUIRE(code_of(run_plugin(dhcp_call("CHECK", "c1", conf))) == 101);
}

TEST_CASE("dhcp ADD: no server: an error in the caller's time, and nothing stays", "[dhcp]") {
  const Lan lan;
  const DhcpDaemon daemon;
  const TestSandbox c1 = lan.container("c1");
  PluginCall call = dhcp_call("ADD", "c1");
  call.env = {"CNI_TIMEOUT_SECONDS=2"};
  const Output added = run_plugin(call);
  REQUIRE(code_of(added) == 11);
  REQUIRE_THAT(added.out, contains("no more tries: no answer from a DHCP server"));
  REQUIRE(lease_files().empty());
}

TEST_CASE("dhcp ADD: no such interface", "[dhcp]") {
  const Lan lan;
  const DhcpDaemon daemon;
  const TestSandbox c1("c1");
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  REQUIRE_THAT(added.out, contains("Link not found"));
}

TEST_CASE("dhcp: the daemon is killed: the lease stays, and is renewed by the next", "[dhcp]") {
  const Lan lan;
  // The least that kea allows: half of it until the renewal.
  const Process server =
      Process::start(kea(lan, R"("valid-lifetime":12,"renew-timer":6,"rebind-timer":10)").command);
  std::optional<DhcpDaemon> daemon(std::in_place);
  const TestSandbox c1 = lan.container("c1");
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  INFO(added.text());
  REQUIRE(added.ok());
  tool(concat("ip addr add ", addresses_of(added)[0], " dev eth0"), &c1.net());
  const Strings files = lease_files();
  const std::string before = read_file(concat(kDhcpSocket, ".d/", files.at(0)));
  daemon->kill();
  REQUIRE(lease_files() == files);
  daemon.emplace();
  REQUIRE(addresses_of(run_plugin(dhcp_call("ADD", "c1"))) == addresses_of(added));
  REQUIRE(eventually([&] { return read_file(concat(kDhcpSocket, ".d/", files.at(0))) != before; }));
  REQUIRE(addresses_of(run_plugin(dhcp_call("ADD", "c1"))) == addresses_of(added));
}

TEST_CASE("dhcp: another server with other addresses: the container gets a new one", "[dhcp]") {
  const std::string times = R"("valid-lifetime":12,"renew-timer":6,"rebind-timer":8)";
  const Lan lan;
  std::optional<Process> server(std::in_place, Process::start(kea(lan, times).command));
  const DhcpDaemon daemon;
  const TestSandbox c1("c1");
  PluginCall call = dhcp_call("ADD", "c1");
  call.plugin = "bridge";
  call.config = with(with(dhcp_conf(), "type", "bridge"), "bridge", "br0");
  const Output added = run_plugin(call);
  INFO(added.text());
  REQUIRE(added.ok());
  server.reset();
  std::filesystem::remove(lan.file("kea.leases"));
  server.emplace(Process::start(kea(lan, times, "10.0.0.210-10.0.0.220", "10.0.0.2").command));
  REQUIRE(eventually([&] { return addresses_on("eth0", c1.net()) == Strings{"10.0.0.210/24"}; },
                     std::chrono::seconds(60)));
  const Json routes = tool_json("ip -j route show default", &c1.net());
  REQUIRE(routes.root().items().size() == 1);
  REQUIRE(routes.root().items()[0]["gateway"].string() == "10.0.0.2");
}

TEST_CASE("dhcp: no server any more: the address goes when the lease ends", "[dhcp]") {
  const Lan lan;
  std::optional<Process> server(
      std::in_place,
      Process::start(kea(lan, R"("valid-lifetime":10,"renew-timer":5,"rebind-timer":7)").command));
  const DhcpDaemon daemon;
  const TestSandbox c1("c1");
  PluginCall call = dhcp_call("ADD", "c1");
  call.plugin = "bridge";
  call.config = with(with(dhcp_conf(), "type", "bridge"), "bridge", "br0");
  const Output added = run_plugin(call);
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE(addresses_on("eth0", c1.net()) == addresses_of(added));
  server.reset();
  REQUIRE(
      eventually([&] { return addresses_on("eth0", c1.net()).empty(); }, std::chrono::seconds(60)));
  const Json routes = tool_json("ip -j -4 route", &c1.net());
  REQUIRE(routes.root().items().empty());
}

TEST_CASE("dhcp ADD: two servers answer: one lease", "[dhcp]") {
  const Lan lan;
  const Process one = Process::start(dnsmasq(lan).command);
  const Process two = Process::start(udhcpd(lan).command);
  const DhcpDaemon daemon;
  const TestSandbox c1 = lan.container("c1");
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  INFO(added.text());
  REQUIRE(added.ok());
}

TEST_CASE("dhcp DEL: without the daemon: the next one releases", "[dhcp]") {
  const Lan lan;
  const Process server = Process::start(dnsmasq(lan).command);
  std::optional<DhcpDaemon> daemon(std::in_place);
  const TestSandbox c1 = lan.container("c1");
  const Output added = run_plugin(dhcp_call("ADD", "c1"));
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE(eventually([&] { return leased(lan) == 1; }));
  daemon->kill();
  REQUIRE(run_plugin(dhcp_call("DEL", "c1")).ok());
  REQUIRE(lease_files().size() == 2);  // the lease and its mark
  daemon.emplace();
  REQUIRE(eventually([&] { return lease_files().empty(); }));
  REQUIRE(eventually([&] { return leased(lan) == 0; }));
}

TEST_CASE("dhcp GC: what is not valid is released", "[dhcp]") {
  const Lan lan;
  const Process server = Process::start(dnsmasq(lan).command);
  const DhcpDaemon daemon;
  const TestSandbox c1 = lan.container("c1");
  const TestSandbox c2 = lan.container("c2");
  REQUIRE(run_plugin(dhcp_call("ADD", "c1")).ok());
  REQUIRE(run_plugin(dhcp_call("ADD", "c2")).ok());
  REQUIRE(eventually([&] { return leased(lan) == 2; }));
  Json valid = Json::object();
  valid.set("containerID", "c2").set("ifname", "eth0");
  const std::string conf =
      with(dhcp_conf(), "cni.dev/valid-attachments", Json::array().push(valid));
  REQUIRE(run_plugin(dhcp_call("GC", "c1", conf)).ok());
  REQUIRE(lease_files().size() == 1);
  REQUIRE(eventually([&] { return leased(lan) == 1; }));
  // Nothing is known: nothing is taken away.
  REQUIRE(run_plugin(dhcp_call("GC", "c1")).ok());
  REQUIRE(lease_files().size() == 1);
}

TEST_CASE("dhcp: with the reference's plugin and daemon on the other side", "[dhcp][oracle]") {
  require_reference("dhcp");
  const bool our_daemon = GENERATE(true, false);
  const Lan lan;
  const Process server = Process::start(dnsmasq(lan).command);
  const std::string reference = reference_bin_dir() + "/dhcp";
  DhcpDaemon daemon(our_daemon ? our_bin_dir() + "/dhcp" : reference, {"-timeout", "2s"});
  const TestSandbox c1 = lan.container("c1");
  PluginCall call = dhcp_call("ADD", "c1", dhcp_conf("", "1.0.0"));
  if (our_daemon) call.plugin = reference;
  const Output added = run_plugin(call);
  INFO(added.text());
  REQUIRE(added.ok());
  const Json json = added.json();
  REQUIRE_THAT(addresses_of(added).at(0), contains("10.0.0.1"));
  REQUIRE(json.root()["ips"].items()[0]["gateway"].string() == "10.0.0.1");
  REQUIRE(json.root()["routes"].items().at(0)["dst"].string() == "0.0.0.0/0");
  REQUIRE(eventually([&] { return leased(lan) == 1; }));
  call.command = "CHECK";
  call.config = with(call.config, "prevResult", added.json());
  REQUIRE(run_plugin(call).ok());
  call.command = "DEL";
  const Output deleted = run_plugin(call);
  INFO(deleted.text());
  REQUIRE(deleted.ok());
  REQUIRE(eventually([&] { return leased(lan) == 0; }));
}
