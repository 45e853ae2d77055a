// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/concat.h"
#include "base/error.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

/// A router advertisement to all nodes: "I am the default router, and 2001:db8:bad::/64 is here".
void advertise(const TestNamespace& from, const std::string& link) {
  from.run([&] {
    const cni::Fd socket(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
    if (!socket.valid()) cni::throw_errno("raw ICMPv6 socket");
    const int hops = 255;  // receivers drop others
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops);
    struct {
      nd_router_advert header;
      nd_opt_prefix_info prefix;
    } packet{};
    packet.header.nd_ra_type = ND_ROUTER_ADVERT;
    packet.header.nd_ra_curhoplimit = 7;
    packet.header.nd_ra_router_lifetime = htons(1800);
    packet.prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION;
    packet.prefix.nd_opt_pi_len = 4;
    packet.prefix.nd_opt_pi_prefix_len = 64;
    packet.prefix.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO;
    packet.prefix.nd_opt_pi_valid_time = htonl(3600);
    packet.prefix.nd_opt_pi_preferred_time = htonl(3600);
    ::inet_pton(AF_INET6, "2001:db8:bad::", &packet.prefix.nd_opt_pi_prefix);
    sockaddr_in6 target{};
    target.sin6_family = AF_INET6;
    ::inet_pton(AF_INET6, "ff02::1", &target.sin6_addr);
    target.sin6_scope_id = ::if_nametoindex(link.c_str());
    const auto* const address = reinterpret_cast<const sockaddr*>(&target);
    const bool sent = eventually([&] {
      return ::sendto(socket.get(), &packet, sizeof packet, 0, address, sizeof target) > 0;
    });
    if (!sent) cni::throw_errno("send a router advertisement");
  });
}

bool has_heard(const TestNamespace& net) {
  return tool("ip -6 route show default", &net).find("proto ra") != std::string::npos;
}

/// A container that will lie and one that will believe it, on a host that listens on new
/// interfaces as it does on its uplinks.
class RogueNetwork {
 public:
  explicit RogueNetwork(const std::string& conf) {
    host_.net().set_sysctl("net/ipv6/conf/default/accept_ra", "2");
    host_.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
    witness_.net().set_sysctl("net/ipv6/conf/default/accept_ra", "2");
    Attachment{.conf = conf, .netns = rogue_.path()}.add();
    Attachment{.conf = conf, .netns = witness_.path(), .id = "c2"}.add();
  }

  void require_deaf_host() const {
    // That the witness hears it proves that it was sent and flooded.
    CHECK(eventually([&] {
      advertise(rogue_.net(), "eth0");
      return has_heard(witness_.net());
    }));
    CHECK_FALSE(has_heard(host_.net()));
    CHECK(tool("ip -6 addr").find("2001:db8:bad:") == std::string::npos);
    CHECK(tool("ip -6 route show table all").find("2001:db8:bad:") == std::string::npos);
  }

 private:
  TestHost host_;
  TestSandbox rogue_{"c1"}, witness_{"c2"};
};

}  // namespace

TEST_CASE("bridge security: a container's router advertisements do not change the host",
          "[bridge][security]") {
  // IPv4 only, dual stack, layer 2.
  const std::string conf = GENERATE(bridge_conf(kRouted), bridge_conf(kDualStack), bridge_conf(""));
  const RogueNetwork network(conf);
  network.require_deaf_host();
}

TEST_CASE("bridge security: nor those in a VLAN with a gateway of its own", "[bridge][security]") {
  {
    const TestHost probe;
    const Output output =
        run({.argv = {"ip", "link", "add", "x", "type", "bridge", "vlan_filtering", "1"}});
    if (!output.ok()) skip("this kernel has no VLAN filtering");
  }
  const RogueNetwork network(bridge_conf(
      R"("vlan":7,"isGateway":true,"ipam":{"type":"host-local","subnet":"10.1.2.0/24"})"));
  network.require_deaf_host();
}

TEST_CASE("bridge security: a bridge of another origin does not hear them either",
          "[bridge][security]") {
  const TestHost host;
  host.net().set_sysctl("net/ipv6/conf/default/accept_ra", "2");
  tool("ip link add cni0 type bridge");
  tool("ip link set cni0 up");
  const TestSandbox rogue("c1"), witness("c2");
  witness.net().set_sysctl("net/ipv6/conf/default/accept_ra", "2");
  Attachment{.conf = bridge_conf(kRouted), .netns = rogue.path()}.add();
  Attachment{.conf = bridge_conf(kRouted), .netns = witness.path(), .id = "c2"}.add();
  CHECK(eventually([&] {
    advertise(rogue.net(), "eth0");
    return has_heard(witness.net());
  }));
  CHECK_FALSE(has_heard(host.net()));
}

TEST_CASE("bridge security: names that the kernel or a path would take for something else",
          "[bridge][security]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  const Snapshot before = snapshot_host();
  for (const char* const name :
       {"br%d", "%d", "../x", "a/b", ".", "..", "a b", "a:b", "", "sixteen-letters-", "tab\tbed"}) {
    INFO(name);
    const Attachment attachment{.conf = with(bridge_conf(kRouted), "bridge", name),
                                .netns = sandbox.path()};
    CHECK(code_of(attachment.run("ADD")) == 7);
    CHECK(code_of(attachment.run("STATUS")) == 7);
  }
  for (const char* const name : {"eth%d", "../eth0", ".."}) {
    INFO(name);
    const Attachment attachment{
        .conf = bridge_conf(kRouted), .netns = sandbox.path(), .ifname = name};
    CHECK(code_of(attachment.run("ADD")) == 4);
    CHECK(code_of(attachment.run("DEL")) == 4);
  }
  for (const char* const type : {"../host-local", "/bin/true", "..", "a/b"}) {
    INFO(type);
    const Attachment attachment{.conf = bridge_conf(concat(R"("ipam":{"type":")", type, R"("})")),
                                .netns = sandbox.path()};
    CHECK(code_of(attachment.run("ADD")) == 7);
  }
  CHECK(difference(before, snapshot_host()) == "");
}

TEST_CASE("bridge security: the host's own namespace is refused before any work",
          "[bridge][security]") {
  const TestHost host;
  const Snapshot before = snapshot_host();
  Attachment attachment{.conf = bridge_conf(kDualStack), .netns = "/proc/self/ns/net"};
  attachment.ifname = "own0";
  SECTION("refused") {
    for (const char* const netns : {"/proc/self/ns/net", "/proc/thread-self/ns/net"}) {
      attachment.netns = netns;
      const Output output = attachment.run("ADD");
      INFO(output.text());
      CHECK(code_of(output) == 8);
      CHECK_NOTHROW(output.json());  // one document
    }
    CHECK(difference(before, snapshot_host()) == "");
  }
  SECTION("allowed when asked for") {
    attachment.env = {"CNI_NETNS_OVERRIDE=1"};
    const cni::Json result = attachment.add();
    CHECK(has_link("own0"));
    CHECK(attachment.run("CHECK", result).ok());
    attachment.del();
    CHECK_FALSE(has_link("own0"));
    CHECK(leases_of().empty());
  }
}

TEST_CASE("bridge security: other things in CNI_NETNS are refused before any work",
          "[bridge][security]") {
  const TestHost host;
  const Snapshot before = snapshot_host();
  for (const auto& [netns, code] :
       {std::pair("/dev/null", 8), {"/run", 8}, {"/proc/self/ns/uts", 8}, {"/run/netns/none", 3}}) {
    const Attachment attachment{.conf = bridge_conf(kDualStack), .netns = netns};
    const Output output = attachment.run("ADD");
    INFO(netns << ": " << output.text());
    CHECK(code_of(output) == code);
  }
  CHECK(difference(before, snapshot_host()) == "");
}
