// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// DEL needs nothing but the attachment's name.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

/// A host where a neighbour lives on the bridge: what is shared is there and stays as it is.
struct UsedHost {
  TestHost host;
  TestSandbox neighbour{"c0"}, sandbox{"c1"};
  std::string conf = bridge_conf(kDualStack);
  Snapshot before;

  UsedHost() {
    host.enable_forwarding();
    // Link-local addresses would change their state in the middle of a comparison.
    host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
    Attachment{.conf = conf, .netns = neighbour.path(), .id = "c0"}.add();
    wait_for_addresses();
    before = snapshot_host().without_hints();
  }
  [[nodiscard]] Attachment attachment() const { return {.conf = conf, .netns = sandbox.path()}; }
  /// The host end of the test's own attachment.
  [[nodiscard]] std::string port() const {
    for (std::string& name : ports_of("cni0")) {
      if (!before.mentions(name)) return std::move(name);
    }
    return {};
  }
  /// What differs from the time before the test's ADD, "" when nothing.
  [[nodiscard]] std::string leftovers() const {
    std::string last;
    (void)eventually(
        [&] {
          last = difference(before, snapshot_host().without_hints());
          return last.empty();
        },
        std::chrono::seconds(2));
    return last;
  }
};

// The neighbour's.
constexpr std::size_t kLeases = 2, kMasqueraded = 2, kPorts = 1;

}  // namespace

TEST_CASE("bridge DEL: the attachment is gone, the shared bridge stays", "[bridge][del]") {
  const UsedHost used;
  const Attachment attachment = used.attachment();
  attachment.add();
  REQUIRE(masqueraded().size() == kMasqueraded + 2);
  attachment.del();
  CHECK(used.leftovers() == "");
  CHECK(has_link("cni0"));
  CHECK_FALSE(has_link("eth0", &used.sandbox.net()));
}

TEST_CASE("bridge DEL: without prevResult, twice, and without any ADD", "[bridge][del]") {
  const UsedHost used;
  const Attachment attachment = used.attachment();
  attachment.del();
  CHECK(used.leftovers() == "");
  attachment.add();
  attachment.del();
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL: before anything was ever made on this host", "[bridge][del]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host().only("link addr route nft sysctl");
  Attachment{.conf = bridge_conf(kDualStack), .netns = sandbox.path()}.del();
  CHECK(difference(before, snapshot_host().only("link addr route nft sysctl")) == "");
}

TEST_CASE("bridge DEL: whatever has become of CNI_NETNS", "[bridge][del]") {
  UsedHost used;
  Attachment attachment = used.attachment();
  attachment.add();
  SECTION("empty") { attachment.netns = ""; }
  SECTION("gone, the container lives on") { used.sandbox.unlink(); }
  SECTION("gone below something that is no directory") { attachment.netns = "/proc/version/net"; }
  const std::string odd = concat(used.host.scratch(), "/odd");
  SECTION("a plain file") {
    cni::write_file_atomically(odd, "", 0644);
    attachment.netns = odd;
  }
  SECTION("a directory") { attachment.netns = used.host.scratch(); }
  SECTION("a FIFO") {
    REQUIRE(::mkfifo(odd.c_str(), 0600) == 0);
    attachment.netns = odd;
  }
  SECTION("a socket") {
    const cni::Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    odd.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    attachment.netns = odd;
  }
  SECTION("a symbolic link to itself") {
    REQUIRE(::symlink(odd.c_str(), odd.c_str()) == 0);
    attachment.netns = odd;
  }
  SECTION("a path that is too long") { attachment.netns = "/" + std::string(5000, 'x'); }
  SECTION("a device") { attachment.netns = "/dev/null"; }
  SECTION("another kind of namespace") { attachment.netns = "/proc/self/ns/uts"; }
  const Output output = attachment.run("DEL");
  INFO(output.text());
  CHECK(output.ok());
  if (attachment.netns == used.sandbox.path()) {
    // The path is part of the snapshot.
    std::erase(used.before.lines, "netns c1");
  }
  ::unlink(odd.c_str());
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL: after the namespace and its links have died", "[bridge][del]") {
  const UsedHost used;
  Attachment attachment = used.attachment();
  {
    const TestSandbox dying("c3");
    attachment.netns = dying.path();
    attachment.add();
  }
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL: the host's own namespace is left alone", "[bridge][del]") {
  const UsedHost used;
  Attachment attachment = used.attachment();
  attachment.ifname = "keep0";
  attachment.add();
  tool("ip link add keep0 type veth peer name keep1");
  attachment.netns = "/proc/self/ns/net";
  attachment.del();
  CHECK(has_link("keep0"));
  tool("ip link del keep0");
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL: links that were moved, renamed or removed", "[bridge][del]") {
  const UsedHost used;
  const Attachment attachment = used.attachment();
  attachment.add();
  const std::string port = used.port();
  const TestNamespace* const inside = &used.sandbox.net();
  SECTION("the container's end is gone") { tool("ip link del eth0", inside); }
  SECTION("the container's end has another name") {
    tool("ip link set eth0 down", inside);
    tool("ip link set eth0 name net7", inside);
  }
  SECTION("the host's end has another name") {
    tool(concat("ip link set ", port, " down"));
    tool(concat("ip link set ", port, " name uplink7"));
  }
  SECTION("both ends have other names") {
    tool(concat("ip link set ", port, " down"));
    tool(concat("ip link set ", port, " name uplink7"));
    tool("ip link set eth0 down", inside);
    tool("ip link set eth0 name net7", inside);
  }
  SECTION("the host's end left the bridge") { tool(concat("ip link set ", port, " nomaster")); }
  SECTION("the host's end lost its label") {
    tool(concat("ip link set ", port, " alias x"));
    tool(concat("ip link set ", port, " alias -"));
  }
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL: the bridge is gone", "[bridge][del]") {
  const UsedHost used;
  const Attachment attachment = used.attachment();
  attachment.add();
  tool("ip link del cni0");
  attachment.del();
  CHECK(leases_of().size() == kLeases);
  CHECK(masqueraded().size() == kMasqueraded);
  CHECK_FALSE(has_link("eth0", &used.sandbox.net()));
  CHECK(has_link("eth0", &used.neighbour.net()));
}

TEST_CASE("bridge DEL: an unusable prevResult", "[bridge][del]") {
  const UsedHost used;
  for (const char* const previous :
       {R"("text")", R"([1,2])", R"({"ips":5})", R"({"cniVersion":"9.9.9"})",
        R"({"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.77/24"}})",
        R"({"cniVersion":"1.1.0","ips":[{"address":"10.9.9.9/24","interface":-7}]})",
        R"({"cniVersion":"1.1.0","interfaces":[{"name":"cni0"},{"name":"lo"}],"ips":[null]})"}) {
    Attachment attachment = used.attachment();
    attachment.add();
    attachment.conf = with(attachment.conf, "prevResult", cni::Json::parse(previous));
    INFO(previous);
    attachment.del();
    CHECK(used.leftovers() == "");
  }
}

TEST_CASE("bridge DEL: with a configuration that ADD would refuse", "[bridge][del]") {
  const UsedHost used;
  const std::pair<const char*, const char*> kRefused[] = {
      {"bridge", "\"name/with/slashes\""},
      {"bridge", "\"far-too-long-for-a-link\""},
      {"bridge", "17"},
      {"isGateway", "\"yes\""},
      {"isDefaultGateway", "{}"},
      {"mtu", "-5.5"},
      {"mtu", "99999999999"},
      {"hairpinMode", "[]"},
      {"vlan", "99999"},
      {"vlanTrunk", R"([{"minID":9,"maxID":1}])"},
      {"vlanTrunk", "[null]"},
      {"preserveDefaultVlan", "3"},
      {"macspoofchk", "\"perhaps\""},
      {"ipMasq", "\"no\""},
      {"ipMasqBackend", "\"pf\""},
      {"ipMasqBackend", "5"},
      {"dns", "\"8.8.8.8\""},
      {"runtimeConfig", R"({"mac":"not a mac"})"},
      {"runtimeConfig", "[]"},
      {"args", R"({"cni":{"mac":5}})"},
      {"args", "\"x\""},
      {"timeoutSeconds", "0"},
      {"timeoutSeconds", "\"soon\""},
      {"logLevel", "12"},
      {"logFile", "[]"},
      {"disableContainerInterface", "true"},
      {"cni.dev/valid-attachments", "5"},
  };
  for (const auto& [key, value] : kRefused) {
    Attachment attachment = used.attachment();
    attachment.add();
    attachment.conf = with(attachment.conf, key, cni::Json::parse(value));
    INFO(key << ": " << value);
    const Output output = attachment.run("DEL");
    INFO(output.text());
    CHECK(output.ok());
    CHECK(used.leftovers() == "");
    if (!output.ok()) used.attachment().del();
  }
}

TEST_CASE("bridge DEL: with CNI_ARGS that ADD would refuse", "[bridge][del]") {
  const UsedHost used;
  for (const char* const args : {"FOO", "FOO=1;BAR=2", "MAC=zz", "a=b=c;", ";;"}) {
    Attachment attachment = used.attachment();
    attachment.add();
    attachment.args = args;
    INFO(args);
    attachment.del();
    CHECK(used.leftovers() == "");
  }
}

TEST_CASE("bridge DEL: without the IPAM plugin everything else goes, and the error names it",
          "[bridge][del]") {
  const UsedHost used;
  Attachment attachment = used.attachment();
  attachment.add();
  attachment.plugin_path = "/nowhere";
  for (int times = 0; times < 2; ++times) {
    const Output output = attachment.run("DEL");
    INFO(output.text());
    CHECK(code_of(output) == 103);
    CHECK_THAT(message_of(output), contains("host-local"));
    CHECK_THAT(message_of(output), contains("/nowhere"));
    CHECK(masqueraded().size() == kMasqueraded);
    CHECK(ports_of("cni0").size() == kPorts);
    CHECK(leases_of().size() == kLeases + 2);
  }
  attachment.plugin_path = our_bin_dir();
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL: an IPAM plugin that hangs is ended at the deadline", "[bridge][del]") {
  const UsedHost used;
  const Attachment attachment = used.attachment();
  attachment.add();
  Attachment hanging = attachment;
  hanging.conf = with(attachment.conf, "timeoutSeconds", 1);
  hanging.plugin_path = install_script(used.host, "host-local", "exec sleep 1000\n");
  const Output output = hanging.run("DEL");
  INFO(output.text());
  CHECK(code_of(output) == 11);
  CHECK_THAT(message_of(output), contains("host-local"));
  CHECK(eventually([] { return processes_here().empty(); }));
  CHECK(masqueraded().size() == kMasqueraded);
  CHECK(ports_of("cni0").size() == kPorts);
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge ADD: an IPAM plugin that hangs is ended at the deadline, and all is undone",
          "[bridge][add]") {
  const UsedHost used;
  Attachment attachment = used.attachment();
  attachment.conf = with(attachment.conf, "timeoutSeconds", 1);
  attachment.plugin_path = install_script(
      used.host, "host-local",
      concat("[ $CNI_COMMAND = ADD ] && exec sleep 1000\nexec ", our_bin_dir(), "/host-local\n"));
  const Output output = attachment.run("ADD");
  INFO(output.text());
  CHECK(code_of(output) == 11);
  CHECK(eventually([] { return processes_here().empty(); }));
  CHECK(used.leftovers() == "");
}

TEST_CASE("bridge DEL and GC: on a kernel without nf_tables", "[bridge][del]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Attachment attachment{
      .conf =
          bridge_conf(R"("isGateway":true,"ipam":{"type":"host-local","subnet":"10.1.2.0/24"})"),
      .netns = sandbox.path()};
  const auto without_nf_tables = [](Command command) {
    // The first socket, without a namespace to look into.
    const std::vector<std::string> prefix = {"strace", "-o", "/dev/null", "-e",
                                             "inject=socket:error=EPROTONOSUPPORT:when=1"};
    command.argv.insert(command.argv.begin(), prefix.begin(), prefix.end());
    return run(command);
  };
  if (!run({.argv = {"strace", "-o", "/dev/null", "true"}}).ok()) skip("strace may not trace here");
  attachment.add();
  Attachment blind = attachment;
  blind.netns = "";
  const Output del = without_nf_tables(blind.command("DEL"));
  INFO(del.text());
  CHECK(del.ok());
  CHECK_FALSE(has_link("eth0", &sandbox.net()));
  CHECK(leases_of().empty());
  Attachment gc = attachment;
  gc.conf = with(gc.conf, "cni.dev/valid-attachments", cni::Json::array());
  const Output collected = without_nf_tables(gc.command("GC"));
  INFO(collected.text());
  CHECK(collected.ok());
  CHECK_FALSE(has_link("cni0"));
}

TEST_CASE("bridge DEL: an interface of another network is not ours to delete", "[bridge][del]") {
  const UsedHost used;
  const Attachment first = used.attachment();
  const cni::Json result = first.add();
  // Its ADD fails because the name is taken; the runtime then calls DEL.
  Attachment second = first;
  second.conf = bridge_conf(
      R"("bridge":"cni7","ipam":{"type":"host-local","subnet":"10.7.0.0/24"})", "1.1.0", "net2");
  CHECK(code_of(second.run("ADD")) == 102);
  second.del();
  CHECK(has_link("eth0", &used.sandbox.net()));
  CHECK(first.run("CHECK", result).ok());
  CHECK_FALSE(has_link("cni7"));
}

TEST_CASE("bridge DEL: a link of another kind is not ours to delete", "[bridge][del]") {
  const UsedHost used;
  tool("ip link add eth0 type bridge", &used.sandbox.net());
  used.attachment().del();
  CHECK(has_link("eth0", &used.sandbox.net()));
}

TEST_CASE("bridge DEL: an attachment that the reference made is removed too", "[bridge][del]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  tool(concat("ip link add cni0 type bridge"));
  tool(concat("ip link add veth12345678 master cni0 type veth peer name eth0 netns ",
              sandbox.path()));
  Attachment{.conf = bridge_conf(kRouted), .netns = sandbox.path()}.del();
  CHECK_FALSE(has_link("veth12345678"));
}
