// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The firewall plugin beside a real firewalld, and beside buses that misbehave.
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "plugins/firewall_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

const std::string kExplicit = R"("backend":"firewalld")";

/// Something that listens on a Unix socket, takes connections into its queue, and says nothing.
class SilentBus {
 public:
  explicit SilentBus(const TestHost& host, int backlog)
      : path_(concat(host.scratch(), "/silent")),
        fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un name = address();
    const void* const bytes = &name;
    if (::bind(fd_.get(), static_cast<const sockaddr*>(bytes), sizeof name) != 0 ||
        ::listen(fd_.get(), backlog) != 0) {
      cni::throw_errno("listen");
    }
  }
  [[nodiscard]] std::string variable() const {
    return concat("DBUS_SYSTEM_BUS_ADDRESS=unix:path=", path_);
  }
  /// A connection that stays in the queue.
  [[nodiscard]] cni::Fd connect() const {
    cni::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un name = address();
    const void* const bytes = &name;
    if (::connect(fd.get(), static_cast<const sockaddr*>(bytes), sizeof name) != 0) {
      cni::throw_errno("connect");
    }
    return fd;
  }

 private:
  [[nodiscard]] sockaddr_un address() const {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path_.data(), path_.size());
    return name;
  }
  std::string path_;
  cni::Fd fd_;
};

/// As the reference writes it.
std::string source_of(const std::string& address) {
  return concat(address, address.find(':') == std::string::npos ? "/32" : "/128");
}

bool is_source(const Firewalld& firewalld, const std::string& address,
               const std::string& zone = "trusted") {
  return concat(" ", firewalld.sources(zone), " ").find(concat(" ", source_of(address), " ")) !=
         std::string::npos;
}

Output call(const std::string& verb, const std::string& conf, const std::string& bus) {
  return Attachment{.conf = conf,
                    .netns = "/run/netns/a",
                    .id = "a",
                    .plugin = "firewall",
                    .env = {bus, "CNI_TIMEOUT_SECONDS=1"}}
      .run(verb);
}

std::string one_address(const std::string& members) {
  return with(firewall_conf(members), "prevResult",
              Json::parse(R"({"interfaces":[{"name":"cni0"}],"ips":[{"address":"10.1.2.3/24"}]})"));
}

Output gc(const std::string& bus, const std::vector<std::string>& valid) {
  Json list = Json::array();
  for (const std::string& id : valid) {
    list.push(Json::object().set("containerID", id).set("ifname", "eth0"));
  }
  return call("GC", with(firewall_conf(""), "cni.dev/valid-attachments", std::move(list)), bus);
}

}  // namespace

TEST_CASE("firewalld: sources come with ADD and go with DEL, through a reload",
          "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const std::string zone = GENERATE("trusted", "internal");
  const Network network{.firewall = concat(R"("firewalldZone":")", zone, "\"")};
  const Pod a(network, "a", {firewalld.variable()}), b(network, "b", {firewalld.variable()});
  a.admit().admit();
  b.admit();
  CHECK(is_source(firewalld, a.v4(), zone));
  CHECK(is_source(firewalld, a.v6(), zone));
  CHECK(a.firewall("CHECK").ok());

  CHECK(firewalld.cmd({"--reload"}) == "success");
  CHECK_FALSE(is_source(firewalld, a.v4(), zone));
  const Output lost = a.firewall("CHECK");
  CHECK(code_of(lost) == 101);
  CHECK_THAT(message_of(lost), contains(a.v4()));
  CHECK_FALSE(is_source(firewalld, a.v4(), zone));
  CHECK(a.firewall("RESTORE").ok());
  CHECK(b.firewall("RESTORE").ok());
  CHECK(a.firewall("CHECK").ok());

  static_cast<void>(
      firewalld.cmd({concat("--zone=", zone), concat("--remove-source=", source_of(a.v6()))}));
  CHECK(code_of(a.firewall("CHECK")) == 101);
  CHECK(a.firewall("DEL").ok());
  CHECK(firewalld.sources(zone).find(a.v4()) == std::string::npos);
  CHECK(is_source(firewalld, b.v4(), zone));
  CHECK(a.firewall("DEL").ok());
}

TEST_CASE("firewalld: DEL and GC find the sources without prevResult", "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const std::string& bus = firewalld.variable();
  const Network network{.firewall = GENERATE(std::string(), kExplicit)};
  const Pod a(network, "a", {bus}), b(network, "b", {bus}), c(network, "c", {bus});
  const Snapshot before = snapshot_host().only("file");
  a.admit();
  b.admit();
  c.admit();
  CHECK(code_of(call("DEL", firewall_conf(""), bus)) == 0);
  CHECK_FALSE(is_source(firewalld, a.v4()));
  CHECK_FALSE(is_source(firewalld, a.v6()));
  CHECK(is_source(firewalld, b.v4()));
  const Output collected = gc(bus, {"c"});
  INFO(collected.text());
  CHECK(collected.ok());
  CHECK_FALSE(is_source(firewalld, b.v4()));
  CHECK(is_source(firewalld, c.v4()));
  CHECK(gc(bus, {}).ok());
  CHECK(firewalld.sources().empty());
  CHECK(difference(before, snapshot_host().only("file")).find("10.1.2") == std::string::npos);
}

TEST_CASE("firewalld: an address that somebody else has by now stays", "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const std::string conf = one_address("");
  const auto as = [&](const std::string& verb, const std::string& id) {
    return Attachment{.conf = conf,
                      .netns = "/run/netns/a",
                      .id = id,
                      .plugin = "firewall",
                      .env = {firewalld.variable()}}
        .run(verb)
        .ok();
  };
  CHECK(as("ADD", "old"));
  CHECK(as("ADD", "new"));
  CHECK(as("DEL", "old"));
  CHECK(is_source(firewalld, "10.1.2.3"));
  CHECK(as("CHECK", "new"));
  CHECK_FALSE(as("CHECK", "old"));
  CHECK(as("DEL", "new"));
  CHECK_FALSE(is_source(firewalld, "10.1.2.3"));
}

TEST_CASE("firewalld: a failed ADD leaves no source", "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const std::string& bus = firewalld.variable();
  const Pod pod({.firewall = R"("ingressPolicy":"isolated")"}, "a", {bus});
  const Snapshot before = snapshot_host().only("nft file");
  static_cast<void>(firewalld.cmd({"--zone=home", concat("--add-source=", source_of(pod.v6()))}));
  const Output output = pod.firewall("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), contains(pod.v6()));
  CHECK(firewalld.sources().empty());
  CHECK(firewalld.sources("home") == source_of(pod.v6()));
  static_cast<void>(
      firewalld.cmd({"--zone=home", concat("--remove-source=", source_of(pod.v6()))}));
  const std::string rest = difference(before, snapshot_host().only("nft file"));
  INFO(rest);
  CHECK(rest.find(pod.v4()) == std::string::npos);
  CHECK(rest.find("veth") == std::string::npos);
  const Output no_zone = call("ADD", one_address(R"("firewalldZone":"nowhere")"), bus);
  CHECK(code_of(no_zone) == 100);
  CHECK_THAT(message_of(no_zone), contains("INVALID_ZONE"));
}

TEST_CASE("firewalld: what the reference made is checked and removed", "[firewall][oracle]") {
  require_reference("firewall");
  const TestHost host;
  const Firewalld firewalld(host);
  const Network network{.firewall = GENERATE(std::string(), kExplicit)};
  const Pod pod(network, "a", {firewalld.variable()});
  const Output made = pod.firewall("ADD", reference_bin_dir());
  INFO(made.text());
  REQUIRE(made.ok());
  REQUIRE(is_source(firewalld, pod.v4()));
  CHECK(pod.firewall("CHECK").ok());
  CHECK(pod.firewall("DEL").ok());
  CHECK(firewalld.sources().empty());
  CHECK(code_of(pod.firewall("CHECK")) == 101);
  // And the other way round.
  pod.admit();
  CHECK(pod.firewall("DEL", reference_bin_dir()).ok());
  CHECK(firewalld.sources().empty());
}

TEST_CASE("firewalld: stopped, its sources count as gone", "[firewall][firewalld]") {
  const TestHost host;
  Firewalld firewalld(host);
  const std::string& bus = firewalld.variable();
  const Pod pod({.firewall = kExplicit}, "a", {bus});
  pod.admit();
  firewalld.stop();
  CHECK(code_of(pod.firewall("CHECK")) == 50);
  CHECK(code_of(call("STATUS", firewall_conf(kExplicit), bus)) == 50);
  CHECK(pod.firewall("DEL").ok());
  CHECK(code_of(pod.firewall("ADD")) == 50);
}

TEST_CASE("firewalld: no bus at all", "[firewall][firewalld]") {
  const TestHost host;
  const std::string bus =
      concat("DBUS_SYSTEM_BUS_ADDRESS=", GENERATE("unix:path=/run/none", "unix:abstract=none", ""));
  INFO(bus);
  const Output output = call("ADD", one_address(kExplicit), bus);
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("firewalld is not running"));
  CHECK(code_of(call("DEL", one_address(kExplicit), bus)) == 0);
  CHECK(code_of(call("ADD", one_address(""), bus)) == 0);
  CHECK(code_of(call("DEL", one_address(""), bus)) == 0);
  CHECK(code_of(call("ADD", one_address(kExplicit), "DBUS_SYSTEM_BUS_ADDRESS=tcp:host=x")) == 4);
}

TEST_CASE("firewalld: a bus that never answers ends in time", "[firewall][firewalld]") {
  const TestHost host;
  const bool full = GENERATE(false, true);
  const SilentBus bus(host, full ? 0 : 8);
  const cni::Fd queued = full ? bus.connect() : cni::Fd();
  const std::string verb = GENERATE("ADD", "CHECK", "DEL", "STATUS");
  INFO(verb << (full ? ", queue full" : ""));
  const Output output = call(verb, one_address(kExplicit), bus.variable());
  INFO(output.text());
  CHECK(code_of(output) == (verb == "STATUS" ? 50 : 11));
  CHECK_THAT(message_of(output), contains("/silent"));
}

TEST_CASE("firewalld: where none of its rules is, a silent bus is not asked",
          "[firewall][firewalld]") {
  const TestHost host;
  const SilentBus bus(host, 8);
  const Attachment attachment{.conf = one_address(""),
                              .netns = "/run/netns/a",
                              .plugin = "firewall",
                              .env = {bus.variable(), "CNI_LOG_LEVEL=warn"}};
  const Output output = attachment.run("ADD");
  INFO(output.text());
  CHECK(output.ok());
  CHECK(output.err.empty());
  CHECK(attachment.run("DEL").ok());
}

TEST_CASE("firewalld: its table without its daemon is somebody else's", "[firewall][firewalld]") {
  const TestHost host;
  tool("nft add table inet firewalld");
  tool(
      "nft add chain inet firewalld filter_FORWARD { type filter hook forward priority 10 ; "
      "policy drop ; }");
  const PrivateBus bus(host);
  CHECK(code_of(call("ADD", one_address(""), bus.variable())) == 0);
  const Output output = call("STATUS", firewall_conf(""), bus.variable());
  CHECK(code_of(output) == 50);
  CHECK_THAT(message_of(output), contains("table inet firewalld"));
}

TEST_CASE("firewalld: another backend, that cannot help, is no secret", "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const std::string backend = GENERATE("iptables", "nftables");
  const std::string members = concat(R"("backend":")", backend, "\"");
  const Pod a({.firewall = members}, "a", {firewalld.variable()});
  const Output output = a.firewall("ADD");
  CHECK(output.ok());
  CHECK_THAT(output.err, Catch::Contains("firewalld"));
  const Output status = call("STATUS", firewall_conf(members), firewalld.variable());
  CHECK(code_of(status) == 50);
  CHECK_THAT(message_of(status), Catch::Contains("firewalld"));
}

TEST_CASE("firewalld: one whose rules are in another namespace is none", "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const TestSandbox elsewhere("elsewhere");
  const Pod a({}, "a", {firewalld.variable()});
  const auto there = [&](std::string_view verb) {
    Command command = a.command(verb);
    command.net = &elsewhere.net();
    return run(command);
  };
  CHECK(there("ADD").ok());
  CHECK_FALSE(is_source(firewalld, a.v4()));
  CHECK(there("CHECK").ok());
  CHECK(there("DEL").ok());
  const Pod named({.firewall = kExplicit}, "b", {firewalld.variable()});
  Command command = named.command("ADD");
  command.net = &elsewhere.net();
  CHECK(code_of(run(command)) == 50);
}

TEST_CASE("firewalld: one that refuses us is none, and leaves nothing to undo",
          "[firewall][firewalld]") {
  const TestHost host;
  const Firewalld firewalld(host);
  const std::string conf = concat(host.scratch(), "/bus.conf");
  std::string text = tool(concat("cat ", conf));
  text.insert(text.rfind("</policy>"),
              R"(<deny send_interface="org.fedoraproject.FirewallD1.zone"/>)");
  cni::write_file_atomically(conf, text, 0644);
  const Output reloaded =
      run({.argv = {"dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                    "org.freedesktop.DBus.ReloadConfig"},
           .env = {firewalld.variable()}});
  REQUIRE(reloaded.ok());
  const Pod a({}, "a", {firewalld.variable()});
  const Output output = a.firewall("ADD");
  INFO(output.text());
  CHECK(output.ok());
  CHECK_THAT(output.err, Catch::Contains("firewalld"));
  CHECK(a.firewall("DEL").ok());
  const Pod named({.firewall = kExplicit}, "b", {firewalld.variable()});
  CHECK_FALSE(named.firewall("ADD").ok());
  CHECK(named.firewall("DEL").ok());
}
