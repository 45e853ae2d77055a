// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// CHECK names what has changed since ADD; STATUS says beforehand what cannot work.
#include <sys/mount.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "plugins/veth_host.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kEverything =
    R"("mac":"C2:11:00:00:00:09","mtu":1400,"promisc":true,"allmulti":true,"txQLen":77,)"
    R"("sysctl":{"net.ipv4.conf.IFNAME.log_martians":"1","net.ipv4.tcp_rmem":"4096 100000 200000"})";

void require_noticed(const VethHost& on, const Attachment& attachment, const std::string& change,
                     const std::string& back, const std::string& named) {
  INFO(change);
  tool(change, on.inside());
  const Output output = attachment.run("CHECK");
  CHECK(code_of(output) == 101);
  CHECK_THAT(message_of(output), contains(named));
  if (back.empty()) return;
  tool(back, on.inside());
  CHECK(attachment.run("CHECK").ok());
}

}  // namespace

TEST_CASE("tuning CHECK: notices every change and names it", "[tuning][check]") {
  const VethHost on;
  const Attachment attachment = on.chained("tuning", kEverything);
  attachment.add();
  const Output output = attachment.run("CHECK");
  INFO(output.text());
  REQUIRE(output.ok());
  const auto noticed = [&](const std::string& change, const std::string& back,
                           const std::string& named) {
    require_noticed(on, attachment, change, back, named);
  };
  noticed("ip link set eth0 address 02:00:00:00:00:55",
          "ip link set eth0 address c2:11:00:00:00:09", "02:00:00:00:00:55");
  noticed("ip link set eth0 mtu 1401", "ip link set eth0 mtu 1400", "mtu");
  noticed("ip link set eth0 promisc off", "ip link set eth0 promisc on", "promisc");
  noticed("ip link set eth0 allmulticast off", "ip link set eth0 allmulticast on", "allmulti");
  noticed("ip link set eth0 txqueuelen 78", "ip link set eth0 txqueuelen 77", "txQLen");
  for (const auto& [entry, wrong, right] :
       {std::tuple("net/ipv4/conf/eth0/log_martians", "0", "1"),
        std::tuple("net/ipv4/tcp_rmem", "4096 100000 200001", "4096 100000 200000")}) {
    on.sandbox.net().set_sysctl(entry, wrong);
    const Output changed = attachment.run("CHECK");
    CHECK(code_of(changed) == 101);
    CHECK_THAT(message_of(changed), contains("sysctl"));
    on.sandbox.net().set_sysctl(entry, right);
    CHECK(attachment.run("CHECK").ok());
  }
  noticed("ip link del eth0", "", "eth0");
}

TEST_CASE("tuning CHECK: what is not configured does not matter", "[tuning][check]") {
  const VethHost on;
  const Attachment attachment = on.chained("tuning", R"("mtu":1400,"allmulti":false)");
  attachment.add();
  tool("ip link set eth0 promisc on txqueuelen 5 address 02:00:00:00:00:55", on.inside());
  CHECK(attachment.run("CHECK").ok());
  require_noticed(on, attachment, "ip link set eth0 allmulticast on", "", "allmulti");
}

TEST_CASE("tuning CHECK: needs a prevResult, and changes nothing", "[tuning][check]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", kEverything);
  attachment.add();
  const Snapshot before = snapshot_host(), container = snapshot_network(on.sandbox.net());
  CHECK(attachment.run("CHECK").ok());
  CHECK(difference(before, snapshot_host()) == "");
  CHECK(difference(container, snapshot_network(on.sandbox.net())) == "");
  attachment.conf = R"({"cniVersion":"1.1.0","name":"net1","type":"tuning"})";
  CHECK(code_of(attachment.run("CHECK")) == 7);
}

TEST_CASE("tuning STATUS: what ADD could not do", "[tuning][status]") {
  const VethHost on;
  const auto status = [&](std::string_view members) {
    Attachment attachment = on.chained("tuning", members);
    attachment.ifname = "";
    attachment.id = "";
    attachment.netns = "";
    return attachment.run("STATUS");
  };
  const Snapshot before = snapshot_host();
  for (const std::string_view members :
       {std::string_view(), kEverything,
        std::string_view(R"("sysctl":{"net.ipv4.conf.eth0.100.rp_filter":"1"})")}) {
    const Output output = status(members);
    INFO(members << output.text());
    CHECK(output.ok());
  }
  for (const std::string_view members :
       {R"("sysctl":{"net.core.rmem_max":"1000000"})", R"("sysctl":{"net.ipv4.none":"1"})",
        R"("mtu":1400,"dataDir":"/dev/null/x")", R"("mtu":1400,"dataDir":"/dev/null")"}) {
    INFO(members);
    CHECK(code_of(status(members)) == 50);
  }
  CHECK(code_of(status(R"("mtu":"x")")) == 7);
  CHECK(difference(before, snapshot_host()) == "");

  REQUIRE(::mount("none", "/etc", "tmpfs", 0, nullptr) == 0);
  cni::make_directories("/etc/cni/tuning", 0755);
  const std::string list = "/etc/cni/tuning/allowlist.conf";
  cni::write_file_atomically(list, "log_martians|tcp_rmem\n", 0644);
  CHECK(status(kEverything).ok());
  CHECK(code_of(status(R"("sysctl":{"net.core.somaxconn":"5"})")) == 50);
  cni::write_file_atomically(list, "log_martians|tcp_rmem\n(\n", 0644);
  CHECK(code_of(status(kEverything)) == 50);
}
