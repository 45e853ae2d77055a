// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// DEL puts back what stood there before; the backup goes with the attachment, whatever happened.
#include <sys/mount.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/fd.h"
#include "plugins/veth_host.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

constexpr std::string_view kEverything =
    R"("mac":"c2:11:00:00:00:09","mtu":1400,"promisc":true,"allmulti":true,"txQLen":77,)"
    R"("sysctl":{"net.ipv4.conf.IFNAME.log_martians":"1","net.ipv4.tcp_rmem":"4096 100000 200000",)"
    R"("net.ipv4.ip_local_reserved_ports":"80,443"})";

const std::string kDir = "/run/cni/tuning";
const std::string kBackup = kDir + "/c1_eth0.json";

bool no_files() { return std::filesystem::is_empty(kDir); }

Output run_reference(const Attachment& attachment, std::string_view verb) {
  PluginCall call = attachment.call(verb);
  call.plugin = concat(reference_bin_dir(), "/tuning");
  return run_plugin(call);
}

}  // namespace

TEST_CASE("tuning DEL: restores everything, twice is fine", "[tuning][del]") {
  const VethHost on;
  const Snapshot container = snapshot_network(on.sandbox.net());
  const std::string rmem = on.sysctl("net/ipv4/tcp_rmem");
  const Attachment attachment = on.chained("tuning", kEverything);
  attachment.add();
  CHECK(on.sysctl("net/ipv4/ip_local_reserved_ports") == "80,443");
  CHECK(std::filesystem::exists(kBackup));
  attachment.del();
  CHECK(difference(container, snapshot_network(on.sandbox.net())) == "");
  CHECK(on.sysctl("net/ipv4/tcp_rmem") == rmem);
  CHECK(on.sysctl("net/ipv4/ip_local_reserved_ports") == "");
  CHECK(on.sysctl("net/ipv4/conf/eth0/log_martians") == "0");
  CHECK(no_files());
  attachment.del();
}

TEST_CASE("tuning DEL: what several ADDs changed is restored to the first state", "[tuning][del]") {
  const VethHost on;
  const Snapshot container = snapshot_network(on.sandbox.net());
  on.chained("tuning", R"("mtu":1400)").add();
  on.chained("tuning", kEverything).add();
  on.chained("tuning", R"("mtu":1300,"sysctl":{"net.core.somaxconn":"9"})").add();
  on.chained("tuning", "").del();
  CHECK(difference(container, snapshot_network(on.sandbox.net())) == "");
  CHECK(on.sysctl("net/core/somaxconn") != "9");
}

TEST_CASE("tuning DEL: whatever is missing", "[tuning][del]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", kEverything);
  attachment.add();
  attachment.args = "FOO=bar";
  SECTION("the namespace's path") { attachment.netns = "/run/netns/none"; }
  SECTION("CNI_NETNS") { attachment.netns = ""; }
  SECTION("a plain file is left") { attachment.netns = "/dev/null"; }
  SECTION("the interface") { tool("ip link del eth0", on.inside()); }
  SECTION("prevResult and the configuration") {
    attachment.conf = R"({"cniVersion":"1.1.0","name":"net1","type":"tuning","mac":5,"sysctl":[]})";
  }
  SECTION("a prevResult that can be read") {
    attachment.conf = with(attachment.conf, "prevResult", cni::Json("x"));
  }
  SECTION("a backup that can be read") { cni::write_file_atomically(kBackup, "{", 0600); }
  SECTION("the backup") { std::filesystem::remove(kBackup); }
  SECTION("the directory") { std::filesystem::remove_all(kDir); }
  const Output output = attachment.run("DEL");
  INFO(output.text());
  CHECK(output.ok());
  CHECK((!std::filesystem::exists(kDir) || no_files()));
}

TEST_CASE("tuning DEL: a backup of another container with the same id is not applied",
          "[tuning][del]") {
  VethHost on;
  Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  attachment.add();
  const TestSandbox next("c2");
  tool("ip link add host2 mtu 1700 type veth peer name eth0 mtu 1700 netns c2");
  attachment.netns = next.path();
  SECTION("by ADD: the new one's values are saved") {
    attachment.add();
    attachment.del();
    CHECK(link_of("eth0", &next.net()).root()["mtu"].text() == "1700");
  }
  SECTION("by DEL") {
    attachment.del();
    CHECK(link_of("eth0", &next.net()).root()["mtu"].text() == "1700");
  }
  CHECK(no_files());
}

TEST_CASE("tuning DEL: whose values a backup has is known by more than a number", "[tuning][del]") {
  const VethHost on;
  const Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  attachment.add();
  const cni::Json saved = cni::Json::parse(cni::read_file(kBackup));
  const std::string netns = saved.root()["cnipp"]["netns"].string();
  const auto boot = netns.substr(0, netns.find(':'));
  const auto cookie = netns.substr(netns.rfind(':') + 1);
  std::string wanted = "1400";
  std::string written;
  SECTION("another boot") { written = concat("fedcba9876543210", netns.substr(boot.size())); }
  SECTION("another namespace with its number") { written = concat(netns, "1"); }
  SECTION("the cookie alone, as the first versions wrote it") {
    written = cookie;
    wanted = "1500";
  }
  cni::Json own = cni::Json(saved.root()["cnipp"]);
  own.set("netns", written);
  cni::Json changed = saved;
  changed.set("cnipp", std::move(own));
  cni::write_file_atomically(kBackup, changed.dump(), 0600);
  attachment.del();
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == wanted);
  CHECK(no_files());
}

TEST_CASE("tuning: attachments whose file has the same name keep their own values",
          "[tuning][del]") {
  // "a" with "b_c", and "a_b" with "c": both are a_b_c.json for the reference.
  const VethHost on("b_c");
  const TestSandbox other("c2");
  tool("ip link add host2 mtu 1700 type veth peer name c mtu 1700 netns c2");
  Attachment first = on.chained("tuning", R"("mtu":1400)");
  first.id = "a";
  Attachment second = first;
  second.id = "a_b";
  second.ifname = "c";
  second.netns = other.path();
  const auto mtus = [&] {
    return concat(link_of("b_c", on.inside()).root()["mtu"].text(), " ",
                  link_of("c", &other.net()).root()["mtu"].text());
  };
  first.add();
  second.add();
  second.add();
  CHECK(std::filesystem::exists(concat(kDir, "/a_b_c.json")));
  REQUIRE(mtus() == "1400 1400");
  SECTION("DEL, the second first") {
    second.del();
    CHECK(mtus() == "1400 1700");
    first.del();
  }
  SECTION("DEL, the first first") {
    first.del();
    CHECK(mtus() == "1500 1400");
    second.add();
    second.del();
  }
  SECTION("a failed ADD") {
    second.conf = with(second.conf, "sysctl", cni::Json::parse(R"({"net.core.none":"1"})"));
    CHECK_FALSE(second.run("ADD").ok());
    second.del();
    first.del();
  }
  CHECK(mtus() == "1500 1700");
  CHECK(no_files());
}

TEST_CASE("tuning: a container id of any length", "[tuning][del]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  attachment.id = std::string(GENERATE(199U, 245U, 246U, 250U, 255U, 256U, 4000U), 'x');
  attachment.add();
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == "1400");
  attachment.add();
  attachment.del();
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == "1500");
  CHECK(no_files());
  attachment.del();
}

TEST_CASE("tuning DEL: what a killed ADD left half-written goes too", "[tuning][del]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  attachment.id = std::string(GENERATE(5U, 240U, 4000U), 'x');
  attachment.add();
  const auto file = *std::filesystem::directory_iterator(kDir);
  const std::string name = file.path().filename().string().substr(0, 200);
  cni::write_file_atomically(concat(kDir, "/.", name, ".77-abcd.tmp"), R"({"mac":)", 0600);
  attachment.del();
  CHECK(no_files());
}

TEST_CASE("tuning: dataDir", "[tuning][del]") {
  const VethHost on;
  const Attachment attachment = on.chained("tuning", R"("mtu":1400,"dataDir":"/run/a/b/")");
  attachment.add();
  CHECK(std::filesystem::exists("/run/a/b/c1_eth0.json"));
  CHECK_FALSE(std::filesystem::exists(kDir));
  attachment.del();
  CHECK(std::filesystem::is_empty("/run/a/b"));
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == "1500");
}

TEST_CASE("tuning: container ids and interface names cannot leave the directory", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  SECTION("id") { attachment.id = GENERATE("../../etc/c1", "..", "a/b"); }
  SECTION("name") { attachment.ifname = GENERATE("../eth0", "..", "a/b"); }
  for (const char* const verb : {"ADD", "CHECK", "DEL"}) CHECK(code_of(attachment.run(verb)) == 4);
}

TEST_CASE("tuning GC: removes the backups of dead attachments of this network", "[tuning][gc]") {
  const VethHost on;
  const Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  Attachment other_network = attachment;
  other_network.id = "c9";
  other_network.conf = with(attachment.conf, "name", cni::Json("net2"));
  attachment.add();
  other_network.add();
  cni::write_file_atomically(kDir + "/c8_eth0.json", R"({"mtu":1500})", 0600);
  CHECK(attachment.run("GC").ok());  // nothing is known
  CHECK(attachment.collecting({"c1"}).run("GC").ok());
  CHECK(std::filesystem::exists(kBackup));
  CHECK(attachment.collecting({}).run("GC").ok());
  CHECK_FALSE(std::filesystem::exists(kBackup));
  CHECK(std::filesystem::exists(kDir + "/c9_eth0.json"));
  CHECK(std::filesystem::exists(kDir + "/c8_eth0.json"));
  CHECK(other_network.collecting({}).run("GC").ok());
  CHECK_FALSE(std::filesystem::exists(kDir + "/c9_eth0.json"));
  std::filesystem::remove_all(kDir);
  CHECK(attachment.collecting({}).run("GC").ok());
}

TEST_CASE("tuning: ours CHECKs and DELetes what the reference tuned", "[tuning][reference]") {
  require_reference("tuning");
  const VethHost on;
  const Snapshot container = snapshot_network(on.sandbox.net());
  const Attachment attachment = on.chained(
      "tuning", R"("mac":"c2:11:00:00:00:09","mtu":1400,"promisc":true,"allmulti":true)", "1.0.0");
  const Output added = run_reference(attachment, "ADD");
  INFO(added.text());
  REQUIRE(added.ok());
  REQUIRE(std::filesystem::exists(kBackup));
  CHECK(attachment.run("CHECK", added.json()).ok());
  SECTION("at once") {}
  SECTION("after another ADD, by ours") { attachment.add(); }
  attachment.del();
  CHECK(difference(container, snapshot_network(on.sandbox.net())) == "");
  CHECK(no_files());
}

TEST_CASE("tuning: the reference CHECKs and DELetes what ours tuned", "[tuning][reference]") {
  require_reference("tuning");
  const VethHost on;
  const Snapshot container = snapshot_network(on.sandbox.net());
  const Attachment attachment =
      on.chained("tuning",
                 GENERATE(R"("mac":"c2:11:00:00:00:09","mtu":1400,"promisc":true,"allmulti":true,)"
                          R"("sysctl":{"net.core.somaxconn":"77"})",
                          R"("sysctl":{"net.core.somaxconn":"77"})"),
                 "1.0.0");
  const cni::Json result = attachment.add();
  PluginCall check = attachment.call("CHECK");
  check.config = with(check.config, "prevResult", result);
  check.plugin = concat(reference_bin_dir(), "/tuning");
  const Output checked = run_plugin(check);
  INFO(checked.text());
  CHECK(checked.ok());
  CHECK(run_reference(attachment, "DEL").ok());
  CHECK(difference(container, snapshot_network(on.sandbox.net())).find("link") ==
        std::string::npos);
  CHECK(no_files());
}
