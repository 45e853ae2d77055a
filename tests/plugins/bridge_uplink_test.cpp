// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A bridge whose way out is a port that the administrator gave it: it stays as it is, and the
// container's traffic goes through it. Skipped on kernels without these kinds of links.
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/poll.h"
#include "support/skip.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kFlat = R"("ipam":{"type":"host-local","subnet":"10.1.2.0/24"})";

/// Makes a link of a kind that not every kernel has.
void make_link(const std::string& arguments, const TestNamespace* net = nullptr) {
  const std::string line = concat("ip link add ", arguments);
  Command command;
  command.net = net;
  for (std::size_t at = 0; at < line.size();) {
    const auto end = std::min(line.find(' ', at), line.size());
    command.argv.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  if (!run(command).ok()) skip(concat("this kernel refuses: ", line));
}

/// A host with a cable "trunk" to a machine that answers in VLAN 100, at 10.1.2.200, and has no
/// address outside of it.
struct TrunkHost {
  TestHost host;
  TestSandbox sandbox{"c1"};
  TestNamespace outside = TestNamespace::create();

  TrunkHost() {
    tool("ip link add trunk type veth peer name cable");
    tool(concat("ip link set cable netns ", outside.fd_path()));
    make_link("link cable name cable.100 type vlan id 100", &outside);
    for (const char* const line : {"ip link set cable up", "ip link set cable.100 up",
                                   "ip addr add 10.1.2.200/24 dev cable.100"}) {
      tool(line, &outside);
    }
    tool("ip link set trunk up");
  }
};

std::uint64_t packets_sent(std::string_view link) {
  const cni::Json list = tool_json(concat("ip -j -s link show dev ", link));
  return static_cast<std::uint64_t>(
      list.root().items().at(0)["stats64"]["tx"]["packets"].int_or(0, 0, INT64_MAX));
}

/// All links with what they are ports of, and the VLANs of ports. Whether a link is operational the
/// kernel finds out later.
std::string links() {
  std::string out;
  const cni::Json list = tool_json("ip -j link");
  for (const auto& link : list.root().items()) {
    out += concat(link["ifname"].string(), " ", link["address"].string(), " mtu ",
                  link["mtu"].integer(0, 70000).value(), " master ",
                  link["master"].string_or("none"), "\n");
  }
  return out + tool("bridge -d vlan");
}

/// The attachment comes, holds and goes; `use` tries it. The administrator's links stay.
template <typename Use>
void live_and_let_live(const Attachment& attachment, Use use) {
  wait_for_addresses();
  const std::string before = links();
  const cni::Json result = attachment.add();
  use();
  CHECK(attachment.run("CHECK", result).ok());
  REQUIRE(attachment.run("DEL", result).ok());
  REQUIRE(run_gc(with(attachment.conf, "cniVersion", "1.1.0"), {}).ok());
  CHECK(links() == before);
}

}  // namespace

TEST_CASE("bridge uplink: a dummy", "[bridge][uplink]") {
  const TestHost host;
  const TestSandbox sandbox("c1");
  make_link("up0 type dummy");
  tool("ip link set up0 up");
  const Attachment attachment{.conf = bridge_conf(kFlat), .netns = sandbox.path()};
  SECTION("on the administrator's bridge") {
    make_link("cni0 type bridge");
    tool("ip link set up0 master cni0");
    tool("ip link set cni0 up");
    live_and_let_live(attachment, [&] {
      const auto before = packets_sent("up0");
      (void)run({.argv = {"ping", "-c1", "-W1", "10.1.2.99"}, .net = &sandbox.net()});
      CHECK(packets_sent("up0") > before);
    });
  }
  SECTION("on a bridge of ours") {
    attachment.add();
    tool("ip link set up0 master cni0");
    attachment.del();
    REQUIRE(run_gc(attachment.conf, {}).ok());
    CHECK(ports_of("cni0") == std::vector<std::string>{"up0"});
  }
}

TEST_CASE("bridge uplink: a VLAN of a cable, traffic goes out tagged", "[bridge][uplink]") {
  const TrunkHost on;
  make_link("link trunk name trunk.100 type vlan id 100");
  tool("ip link add cni0 type bridge");
  tool("ip link set trunk.100 master cni0");
  tool("ip link set trunk.100 up");
  tool("ip link set cni0 up");
  live_and_let_live({.conf = bridge_conf(kFlat), .netns = on.sandbox.path()},
                    [&] { CHECK(can_ping(on.sandbox.net(), "10.1.2.200")); });
}

TEST_CASE("bridge uplink: a cable on a VLAN filtering bridge, traffic goes out tagged",
          "[bridge][uplink][vlan]") {
  const TrunkHost on;
  make_link("cni0 type bridge vlan_filtering 1");
  tool("ip link set trunk master cni0");
  tool("bridge vlan add dev trunk vid 100");
  tool("ip link set cni0 up");
  const std::string conf = bridge_conf(concat(R"("vlan":100,)", kFlat));
  live_and_let_live({.conf = conf, .netns = on.sandbox.path()},
                    [&] { CHECK(can_ping(on.sandbox.net(), "10.1.2.200")); });
}
