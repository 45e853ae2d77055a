// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The harness itself: a judge that cannot see, or that touches the machine, proves nothing.
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/host.h"
#include "support/snapshot.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// Two namespaces on a wire: 10.9.0.1/fd09::1 and 10.9.0.2/fd09::2.
void join(const TestNamespace& a, const TestNamespace& b) {
  tool(cni::concat("ip link add wire netns ", a.fd_path(), " type veth peer name wire netns ",
                   b.fd_path()));
  int last = 1;
  for (const auto* net : {&a, &b}) {
    tool("ip link set wire up", net);
    tool(cni::concat("ip addr add 10.9.0.", last, "/24 dev wire"), net);
    tool(cni::concat("ip addr add fd09::", last, "/64 dev wire nodad"), net);
    ++last;
  }
}

}  // namespace

TEST_CASE("test host: what happens in it stays in it", "[support]") {
  const bool comes_back = ::geteuid() == 0;
  {
    const TestHost host;
    tool("ip link add only-here type bridge");
    cni::write_file_atomically("/run/cnipp-test", "x", 0644);
    cni::write_file_atomically("/var/lib/cni/cnipp-test", "x", 0644);
    CHECK(exists("/sys/class/net/only-here"));
    CHECK(snapshot_host().mentions("file /run/cnipp-test"));
  }
  if (!comes_back) return;
  CHECK_FALSE(exists("/sys/class/net/only-here"));
  CHECK_FALSE(exists("/run/cnipp-test"));
  CHECK_FALSE(exists("/var/lib/cni/cnipp-test"));
}

TEST_CASE("test host: two in a row start from the same state", "[support]") {
  Snapshot first;
  {
    const TestHost host;
    first = snapshot_host();
    host.enable_forwarding();
    tool("ip link add br7 type bridge");
  }
  const TestHost host;
  CHECK(difference(first, snapshot_host()) == "");
}

TEST_CASE("test sandbox: lives while it is held, also without its path", "[support]") {
  const TestHost host;
  TestSandbox sandbox("c1");
  CHECK(sandbox.path() == "/run/netns/c1");
  tool(cni::concat("ip link add v1 type veth peer name eth0 netns ", sandbox.path()));
  sandbox.unlink();
  CHECK_FALSE(exists("/run/netns/c1"));
  CHECK(snapshot_network(sandbox.net()).mentions("link eth0"));
  TestSandbox::destroy(std::move(sandbox));
  CHECK(eventually([] { return !exists("/sys/class/net/v1"); }));
}

TEST_CASE("snapshot: shows every kind of state once, and the difference says what changed",
          "[support]") {
  const TestHost host;
  const Snapshot before = snapshot_host();
  CHECK(difference(before, snapshot_host()) == "");

  tool("ip link add br7 type bridge");
  tool("ip addr add 10.7.0.1/24 dev br7");
  tool("ip link set br7 up");
  tool("ip route add 10.8.0.0/24 via 10.7.0.2 dev br7 onlink table 77");
  tool("ip rule add from 10.7.0.0/24 table 77");
  tool("bridge fdb add 02:00:00:00:00:07 dev br7 self permanent");
  tool("nft add table inet seven");
  tool("nft add map inet seven m { type ipv4_addr : verdict; }");
  tool("nft add element inet seven m { 10.7.0.9 : drop }");
  host.enable_forwarding();
  cni::make_directories("/var/lib/cni/networks/seven", 0755);
  cni::write_file_atomically("/var/lib/cni/networks/seven/10.7.0.9", "c1\r\neth0", 0600);
  const TestSandbox sandbox("c7");

  const std::string change = difference(before, snapshot_host());
  INFO(change);
  for (const char* line :
       {"+ link br7 linkinfo.info_kind = \"bridge\"\n", "+ addr br7 {", "+ route {dev:\"br7\"",
        "+ rule {", "+ fdb {", "+ nft table inet  {", "+ nft element nft map inet seven m ",
        "- sysctl net/ipv4/ip_forward = 0\n", "+ sysctl net/ipv4/ip_forward = 1\n",
        "+ sysctl net/ipv6/conf/all/forwarding = 1\n",
        "+ file /var/lib/cni/networks/seven/10.7.0.9 0600 \"c1", "+ netns c7\n"}) {
    CHECK(change.find(line) != std::string::npos);
  }

  tool("ip rule del from 10.7.0.0/24 table 77");
  tool("ip link del br7");
  tool("nft delete table inet seven");
  host.net().set_sysctl("net/ipv4/ip_forward", "0");
  host.net().set_sysctl("net/ipv6/conf/all/forwarding", "0");
  tool("rm -r /var/lib/cni/networks");
  const Snapshot left = snapshot_host();
  CHECK(difference(before, left) == "+ netns c7\n");
}

TEST_CASE("snapshot: the order of rules is part of it", "[support]") {
  const TestHost host;
  const auto rules = [](const char* first, const char* second) {
    tool("nft add table inet t");
    tool("nft add chain inet t c");
    tool(cni::concat("nft add rule inet t c ", first));
    tool(cni::concat("nft add rule inet t c counter ", second));
    Snapshot result = snapshot_host();
    tool("nft delete table inet t");
    return result;
  };
  const Snapshot one = rules("accept", "drop");
  CHECK(difference(one, rules("accept", "drop")) == "");
  CHECK_FALSE(difference(one, rules("drop", "accept")).empty());
}

TEST_CASE("traffic: reaches the other end and names the peer", "[support]") {
  const TestHost host;
  const TestSandbox a("a"), b("b");
  join(a.net(), b.net());
  for (const auto& [own, other] : {std::pair("10.9.0.1", "10.9.0.2"), {"fd09::1", "fd09::2"}}) {
    CHECK(can_ping(a.net(), other));
    CHECK(tcp_peer_seen({a.net(), b.net(), other}) == std::string(own));
    CHECK(udp_peer_seen({a.net(), b.net(), other}) == std::string(own));
  }
}

TEST_CASE("traffic: nothing arrives where nothing can", "[support]") {
  const TestHost host;
  const TestSandbox a("a"), b("b");
  const std::chrono::milliseconds soon(200);
  CHECK_FALSE(tcp_peer_seen({a.net(), b.net(), "10.9.0.2", 8080, soon}));
  join(a.net(), b.net());
  tool("nft add table inet t", &b.net());
  tool("nft add chain inet t c { type filter hook input priority 0; policy drop; }", &b.net());
  CHECK_FALSE(tcp_peer_seen({a.net(), b.net(), "10.9.0.2", 8080, soon}));
  CHECK_FALSE(udp_peer_seen({a.net(), b.net(), "10.9.0.2", 8080, soon}));
}

TEST_CASE("outside host: is reached from the host only with the host's address", "[support]") {
  const TestHost host;
  const OutsideHost outside(host);
  CHECK(tcp_peer_seen({host.net(), outside.net(), OutsideHost::kV4}) == OutsideHost::kHostV4);
  CHECK(udp_peer_seen({host.net(), outside.net(), OutsideHost::kV6}) == OutsideHost::kHostV6);
}

TEST_CASE("command: status, output and input", "[support]") {
  const Output echoed = run({.argv = {"cat"}, .input = std::string(3U << 20, 'x')});
  CHECK(echoed.ok());
  CHECK(echoed.out.size() == 3U << 20);
  CHECK(run({.argv = {"false"}}).status.code == 1);
  CHECK(run({.argv = {"sleep", "60"}, .patience = std::chrono::seconds(0)}).status.signal == 9);
  CHECK_THROWS_AS(tool("ls /no/such/path"), cni::Error);
  const auto both = run_parallel({{.argv = {"echo", "a"}}, {.argv = {"echo", "b"}}});
  CHECK(both[0].out == "a\n");
  CHECK(both[1].out == "b\n");
}
