// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Who has a host port: the living, the dead, the container itself, the pod that is replaced.
#include "base/concat.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"
#include "support/poll.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;
using cni::Json;

namespace {

const std::string kHostV4(OutsideHost::kHostV4);
const std::string kWeb = mapping(8080, 80) + "," + mapping(8443, 443, "tcp", kHostV4);

bool leads_to(const PortHost& host, const TestNamespace& container) {
  return tcp_peer_seen({host.outside.net(), container, kHostV4, 8080, kTrafficPatience, 80})
      .has_value();
}

/// The container on a second network.
struct SecondNetwork {
  Attachment bridge, portmap;

  SecondNetwork(const Container& container, const std::string& members)
      : bridge{.conf = bridge_conf(R"("bridge":"cni1","isGateway":true,"ipMasq":true,"ipam":{)"
                                   R"("type":"host-local","subnet":"10.1.3.0/24"})",
                                   "1.1.0", "net2"),
               .netns = container.sandbox.path(),
               .id = container.bridge.id,
               .ifname = "eth1"},
        portmap{
            .conf = with(portmap_conf(kWeb, members, "1.1.0", "net2"), "prevResult", bridge.add()),
            .netns = bridge.netns,
            .id = bridge.id,
            .ifname = "eth1",
            .plugin = "portmap"} {}
};

Attachment in_pod(Attachment attachment) {
  attachment.args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web";
  return attachment;
}

}  // namespace

TEST_CASE("portmap: one port of a container that is on two networks", "[portmap][owner]") {
  const PortHost host;
  const std::string members =
      GENERATE("", R"("backend":"iptables")", R"("conditionsV4":["ip","saddr","192.0.2.0/24"])");
  INFO(members);
  const Snapshot before = snapshot_host().only("nft iptables");
  const Container web("web");
  const Attachment first = web.publish(kWeb, members);
  const SecondNetwork second(web, members);
  second.portmap.add();
  const auto check = [](const Attachment& attachment) {
    const Output output = attachment.run("CHECK");
    INFO(output.text());
    CHECK(output.ok());
  };
  CHECK(leads_to(host, web.net()));
  check(first);
  check(second.portmap);
  second.portmap.add();
  SECTION("the first leaves first") {
    first.del();
    CHECK(leads_to(host, web.net()));
    check(second.portmap);
    second.portmap.del();
  }
  SECTION("the second leaves first") {
    second.portmap.del();
    CHECK(leads_to(host, web.net()));
    check(first);
    first.del();
  }
  SECTION("GC of the first") {
    CHECK(first.collecting({}).run("GC").ok());
    CHECK(leads_to(host, web.net()));
    check(second.portmap);
    second.portmap.del();
  }
  CHECK(count_port_elements() == 0);
}

TEST_CASE("portmap: a pod that is replaced gives its ports to the new one", "[portmap][owner]") {
  const PortHost host;
  const std::string members =
      GENERATE("", R"("backend":"iptables")", R"("conditionsV4":["ip","saddr","192.0.2.0/24"])");
  INFO(members);
  const Container old("old"), young("young"), stranger("stranger");
  const Attachment first = in_pod(old.portmap(portmap_conf(kWeb, members)));
  const Attachment second = in_pod(young.portmap(portmap_conf(kWeb, members)));
  first.add();
  CHECK(leads_to(host, old.net()));
  CHECK(code_of(stranger.portmap(portmap_conf(kWeb, members)).run("ADD")) == 102);
  second.add();
  CHECK(leads_to(host, young.net()));
  CHECK(second.run("CHECK").ok());
  CHECK(first.run("CHECK").ok());
  SECTION("the old one leaves") {
    first.del();
    CHECK(leads_to(host, young.net()));
    CHECK(second.run("CHECK").ok());
    second.del();
  }
  SECTION("the new one fails") {
    second.del();
    CHECK(leads_to(host, old.net()));
    CHECK(first.run("CHECK").ok());
    first.del();
  }
  CHECK(count_port_elements() == 0);
}

TEST_CASE("portmap: a container whose namespace is gone gives its ports up", "[portmap][owner]") {
  const PortHost host;
  const std::string members = GENERATE("", R"("backend":"iptables")");
  const std::string others = GENERATE("", R"("backend":"iptables")");
  INFO(members << ", then " << others);
  const Container web("web");
  {
    const Container dead("dead");
    dead.publish(kWeb, members);
    CHECK(code_of(web.portmap(portmap_conf(kWeb, others)).run("ADD")) == 102);
  }
  // The kernel takes the veth away some time after the namespace.
  CHECK(eventually([&] { return web.portmap(portmap_conf(kWeb, others)).run("ADD").ok(); }));
  CHECK(leads_to(host, web.net()));
}

TEST_CASE("portmap: the address of a living container is no proof that it is gone",
          "[portmap][owner][security]") {
  const PortHost host;
  const Container victim("victim");
  const TestSandbox tenant("tenant");
  const Attachment mine = victim.publish(kWeb);
  const Snapshot before = snapshot_host().only("nft iptables");
  Attachment theirs = victim.portmap(portmap_conf(mapping(9090, 80)));
  theirs.netns = tenant.path();
  theirs.id = "tenant";
  const Output output = theirs.run("ADD");
  CHECK(code_of(output) == 102);
  CHECK_THAT(message_of(output), Catch::Contains("id: victim"));
  CHECK(difference(before, snapshot_host().only("nft iptables")) == "");
  CHECK(mine.run("CHECK").ok());
}
