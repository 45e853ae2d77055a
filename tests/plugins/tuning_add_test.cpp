// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// What tuning ADD changes, what it refuses, and that a failure leaves everything as it was.
#include <sys/mount.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "plugins/veth_host.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

const std::string kBackup = "/run/cni/tuning/c1_eth0.json";

std::string member(const cni::Json& result, std::size_t index, std::string_view key) {
  return result.root()["interfaces"].items().at(index)[key].text();
}

bool has_flag(const cni::Json& link, std::string_view flag) {
  return link.root()["flags"].text().find(concat("\"", flag, "\"")) != std::string::npos;
}

/// An /etc of the test's own with this allow list.
void install_allow_list(std::string_view content) {
  REQUIRE(::mount("none", "/etc", "tmpfs", 0, nullptr) == 0);
  cni::make_directories("/etc/cni/tuning", 0755);
  cni::write_file_atomically("/etc/cni/tuning/allowlist.conf", content, 0644);
}

}  // namespace

TEST_CASE("tuning ADD: attributes of the interface, in the kernel and in the result",
          "[tuning][each-kernel]") {
  const VethHost on;
  const cni::Json result =
      on.chained("tuning", R"("mac":"C2-11-00-00-00-09","mtu":1400,"promisc":true,)"
                           R"("allmulti":true,"txQLen":77)")
          .add();
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["address"].string() == "c2:11:00:00:00:09");
  CHECK(link.root()["mtu"].text() == "1400");
  CHECK(link.root()["txqlen"].text() == "77");
  CHECK(has_flag(link, "PROMISC"));
  CHECK(has_flag(link, "ALLMULTI"));
  CHECK(member(result, 1, "mac") == "\"c2:11:00:00:00:09\"");
  CHECK(member(result, 1, "mtu") == "1400");
  CHECK(member(result, 0, "mac") == "\"02:00:00:00:00:01\"");
  CHECK(member(result, 0, "mtu") == "null");
  CHECK(result.root()["ips"].items().at(0)["address"].string() == "10.1.2.3/24");
}

TEST_CASE("tuning ADD: only the container's entry of the result changes", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mac":"c2:11:00:00:00:09")");
  cni::Json previous = on.previous();
  cni::Json interfaces = cni::Json::parse(R"([{"name":"eth0","mac":"02:00:00:00:00:77"}])");
  for (const auto& item : previous.root()["interfaces"].items()) interfaces.push(cni::Json(item));
  attachment.conf = with(attachment.conf, "prevResult", previous.set("interfaces", interfaces));
  const cni::Json result = attachment.add();
  CHECK(member(result, 0, "mac") == "\"02:00:00:00:00:77\"");
  CHECK(member(result, 2, "mac") == "\"c2:11:00:00:00:09\"");
}

TEST_CASE("tuning ADD: every version of the specification", "[tuning]") {
  const char* const version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  INFO(version);
  const VethHost on;
  const Attachment attachment =
      on.chained("tuning", R"("mac":"c2:11:00:00:00:09","mtu":1300)", version);
  const cni::Json result = attachment.add();
  CHECK(result.root()["cniVersion"].string() == version);
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == "1300");
  if (std::string_view(version) < "0.3.0") {
    CHECK(result.root()["ip4"]["ip"].string() == "10.1.2.3/24");
  } else {
    CHECK(member(result, 1, "mac") == "\"c2:11:00:00:00:09\"");
    CHECK(member(result, 1, "mtu") == (std::string_view(version) < "1.1.0" ? "null" : "1300"));
  }
  attachment.del();
  CHECK(link_of("eth0", on.inside()).root()["mtu"].text() == "1500");
}

TEST_CASE("tuning ADD: whose MAC wins", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mac":"02:00:00:00:00:0a")");
  const auto mac = [&] {
    attachment.add();
    return link_of("eth0", on.inside()).root()["address"].string();
  };
  CHECK(mac() == "02:00:00:00:00:0a");
  attachment.args = "IgnoreUnknown=1;K8S_POD_NAME=x;MAC=02:00:00:00:00:0b";
  CHECK(mac() == "02:00:00:00:00:0b");
  attachment.conf =
      with(attachment.conf, "runtimeConfig", cni::Json::parse(R"({"Mac":"02:00:00:00:00:0c"})"));
  CHECK(mac() == "02:00:00:00:00:0c");
  attachment.conf =
      with(attachment.conf, "args", cni::Json::parse(R"({"cni":{"mac":"02:00:00:00:00:0d"}})"));
  CHECK(mac() == "02:00:00:00:00:0d");
  // The original, however many ADDs there were.
  attachment.del();
  CHECK(link_of("eth0", on.inside()).root()["address"].string() == "02:00:00:00:00:02");
}

TEST_CASE("tuning ADD: args.cni replaces single values", "[tuning]") {
  const VethHost on;
  on.chained(
        "tuning",
        R"("mtu":1400,"promisc":true,"txQLen":5,"sysctl":{"net.core.somaxconn":"500",)"
        R"("net.ipv4.ip_forward":"1"},"args":{"cni":{"mtu":1300,"promisc":false,"allmulti":true,)"
        R"("txQLen":6,"sysctl":{"net/core/somaxconn":"501"}}})")
      .add();
  const cni::Json link = link_of("eth0", on.inside());
  CHECK(link.root()["mtu"].text() == "1300");
  CHECK(link.root()["txqlen"].text() == "6");
  CHECK_FALSE(has_flag(link, "PROMISC"));
  CHECK(has_flag(link, "ALLMULTI"));
  CHECK(on.sysctl("net/core/somaxconn") == "501");
  CHECK(on.sysctl("net/ipv4/ip_forward") == "1");
}

TEST_CASE("tuning ADD: args.cni.sysctl without sysctl", "[tuning]") {
  const VethHost on;
  on.chained("tuning", R"("args":{"cni":{"sysctl":{"net.core.somaxconn":"502"}}})").add();
  CHECK(on.sysctl("net/core/somaxconn") == "502");
}

TEST_CASE("tuning ADD: spellings of a sysctl", "[tuning]") {
  const VethHost on("eth0.5");
  on.sandbox.net().set_sysctl("net/ipv4/conf/eth0.5/log_martians", "0");
  const char* const key =
      GENERATE("net.ipv4.conf.IFNAME.log_martians", "net/ipv4/conf/IFNAME/log_martians",
               "net.ipv4.conf.eth0.5.log_martians", "net/ipv4/conf/eth0.5/log_martians",
               "net.ipv4/conf.IFNAME/log_martians");
  INFO(key);
  on.chained("tuning", concat(R"("sysctl":{")", key, R"(":"1"})")).add();
  CHECK(on.sysctl("net/ipv4/conf/eth0.5/log_martians") == "1");
}

TEST_CASE("tuning ADD: what sets many entries at once is written first", "[tuning]") {
  const VethHost on;
  on.chained("tuning", R"("sysctl":{"net.ipv4.conf.IFNAME.forwarding":"0",)"
                       R"("net.ipv4.conf.all.forwarding":"1","net.ipv4.ip_forward":"1"})")
      .add();
  CHECK(on.sysctl("net/ipv4/conf/all/forwarding") == "1");
  CHECK(on.sysctl("net/ipv4/conf/eth0/forwarding") == "0");
  CHECK(on.host.net().sysctl("net/ipv4/ip_forward") == "0");
}

TEST_CASE("tuning ADD: nothing to do opens nothing", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained(
      "tuning", GENERATE("", R"("sysctl":{},"mac":"","mtu":0,"promisc":false,"allmulti":null)"));
  attachment.netns = "/run/netns/none";
  const cni::Json result = attachment.add();
  CHECK(result.dump() == on.previous().dump());
  CHECK(attachment.run("CHECK").ok());
  attachment.del();
  CHECK_FALSE(std::filesystem::exists("/run/cni"));
}

TEST_CASE("tuning ADD: a failed one leaves everything as it was", "[tuning]") {
  const VethHost on;
  const Snapshot host = snapshot_host(), container = snapshot_network(on.sandbox.net());
  const auto [members, code, text] = GENERATE(table<std::string, int, std::string>(
      {{R"("sysctl":{"net.ipv4.ip_forward":"1"},"mtu":10)", 100, "MTU"},
       {R"("mtu":1400,"txQLen":9,"mac":"c2:11:00:00:00:09","allmulti":true,"sysctl":)"
        R"({"net.core.somaxconn":"77","net.ipv4.tcp_rmem":"x"})",
        5, "tcp_rmem"},
       {R"("sysctl":{"net.ipv4.ip_forward":"1","net.ipv4.conf.none.rp_filter":"1"})", 7, "none"},
       {R"("sysctl":{"net.ipv4.ip_forward":"1","net.core.rmem_max":"1000000"})", 7, "rmem_max"},
       {R"("sysctl":{"net.ipv4.ip_forward":"1","kernel.core_pattern":"x"})", 7, "core_pattern"},
       {R"("sysctl":{"net/../kernel/domainname":"x"})", 7, "domainname"},
       {R"("sysctl":{"net.":"x"})", 7, "net."},
       {R"("sysctl":{"/net/ipv4/ip_forward":"1"})", 7, "ip_forward"},
       {R"("sysctl":{"net.ipv4":"1"})", 7, "net.ipv4"},
       {R"("sysctl":{"net.core.somaxconn":"5","net/core/somaxconn":"6"})", 7, "duplicated"},
       {R"("sysctl":{"net.core.somaxconn":5})", 7, "somaxconn"},
       {R"("mac":"xx")", 7, "mac"},
       {R"("mac":"01:00:00:00:00:01")", 7, "mac"},
       {R"("mtu":-1)", 7, "mtu"},
       {R"("txQLen":-1)", 7, "txQLen"},
       {R"("mtu":1400,"dataDir":"tuning")", 7, "dataDir"},
       {R"("mtu":1400,"dataDir":"/proc/none")", 5, "/proc/none"}}));
  INFO(members);
  const Output output = on.chained("tuning", members).run("ADD");
  CHECK(code_of(output) == code);
  CHECK_THAT(message_of(output), contains(text));
  CHECK(difference(container, snapshot_network(on.sandbox.net())) == "");
  Snapshot after = snapshot_host();
  std::erase_if(after.lines, [](const std::string& line) {
    return line.find("/run/cni") != std::string::npos && line.find("json") == std::string::npos;
  });
  CHECK(difference(host, after) == "");
}

TEST_CASE("tuning ADD: a key that stands twice in sysctl is refused", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("sysctl":{"net.core.somaxconn":"5"})");
  const std::string once = R"("net.core.somaxconn":"5")";
  attachment.conf.replace(attachment.conf.find(once), once.size(), concat(once, ",", once));
  for (const char* const verb : {"ADD", "CHECK"}) {
    const Output output = attachment.run(verb);
    CHECK(code_of(output) == 7);
    CHECK_THAT(message_of(output), contains("duplicated"));
  }
  CHECK(attachment.run("DEL").ok());
}

TEST_CASE("tuning ADD: a failed second one leaves the first", "[tuning]") {
  const VethHost on;
  on.chained("tuning", R"("mtu":1400,"sysctl":{"net.core.somaxconn":"77"})").add();
  const Snapshot container = snapshot_network(on.sandbox.net());
  const std::string backup = cni::read_file(kBackup);
  CHECK(code_of(on.chained("tuning", R"("mtu":10,"txQLen":3,"sysctl":{"net.core.somaxconn":"78"})")
                    .run("ADD")) == 100);
  CHECK(difference(container, snapshot_network(on.sandbox.net())) == "");
  CHECK(cni::read_file(kBackup) == backup);
}

TEST_CASE("tuning ADD: needs a prevResult, an interface, and a namespace of its own", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  attachment.ifname = "eth7";
  CHECK(code_of(attachment.run("ADD")) == 100);
  attachment.ifname = "eth0";
  attachment.netns = "/proc/self/ns/net";
  CHECK(code_of(attachment.run("ADD")) == 8);
  attachment.netns = "/run/netns/none";
  CHECK(code_of(attachment.run("ADD")) == 3);
  attachment.conf = R"({"cniVersion":"1.1.0","name":"net1","type":"tuning"})";
  CHECK(code_of(attachment.run("ADD")) == 7);
  CHECK_FALSE(std::filesystem::exists(kBackup));
}

TEST_CASE("tuning ADD: unknown CNI_ARGS are refused, DEL passes them over", "[tuning]") {
  const VethHost on;
  Attachment attachment = on.chained("tuning", R"("mtu":1400)");
  attachment.args = GENERATE("FOO=bar", "FOO", "MAC=02:00:00:00:00:0b;IgnoreUnknown=yes");
  CHECK(code_of(attachment.run("ADD")) == 4);
  CHECK(attachment.run("DEL").ok());
}

TEST_CASE("tuning ADD: the allow list", "[tuning]") {
  const VethHost on;
  install_allow_list(
      "\n  ^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$\t\n^net\\.core\\.somaxcon[mn]$\n"
      "^net\\.ipv4\\.neigh\\.[\\w]+?\\.gc_stale_time$\n");
  const auto code = [&](std::string_view key) {
    return code_of(on.chained("tuning", concat(R"("sysctl":{")", key, R"(":"1"})")).run("ADD"));
  };
  CHECK(code("net.ipv4.conf.IFNAME.log_martians") == 0);
  CHECK(code("net.core.somaxconn") == 0);
  CHECK(code("net.ipv4.neigh.eth0.gc_stale_time") == 0);
  CHECK(code("net/ipv4/conf/IFNAME/log_martians") == 7);
  CHECK(code("net.ipv4.conf.eth0.log_martians") == 7);
  CHECK(code("net.ipv4.ip_forward") == 7);
  CHECK(on.sysctl("net/ipv4/ip_forward") == "0");
  // Those of a single call too.
  const Output output =
      on.chained("tuning", R"("args":{"cni":{"sysctl":{"net.ipv4.ip_forward":"1"}}})").run("ADD");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains("net.ipv4.ip_forward"));
  CHECK_THAT(message_of(output), contains("somaxcon[mn]"));
}

TEST_CASE("tuning ADD: an empty allow list allows nothing, a bad line only itself", "[tuning]") {
  const VethHost on;
  const Attachment attachment = on.chained("tuning", R"("sysctl":{"net.core.somaxconn":"77"})");
  install_allow_list(" \n\n");
  CHECK(code_of(attachment.run("ADD")) == 7);
  cni::write_file_atomically("/etc/cni/tuning/allowlist.conf", "(\nsomaxconn\n", 0644);
  CHECK(attachment.run("ADD").ok());
  cni::write_file_atomically("/etc/cni/tuning/allowlist.conf", "(?i)SOMAXCONN\n", 0644);
  const Output output = attachment.run("ADD");
  CHECK(code_of(output) == 7);
  CHECK_THAT(message_of(output), contains("flags are not supported"));
}

TEST_CASE("tuning ADD: very many sysctls", "[tuning]") {
  const VethHost on;
  std::string list = R"("net.ipv4.conf.all.log_martians":"1")";
  for (int i = 0; i < 60'000; ++i) list += concat(R"(,"net.ipv4.none)", i, R"(":"1")");
  Attachment attachment = on.chained("tuning", concat(R"("sysctl":{)", list, "}"));
  attachment.conf =
      with(attachment.conf, "args", cni::Json::parse(concat(R"({"cni":{"sysctl":{)", list, "}}}")));
  const Output output = attachment.run("ADD");
  CHECK(code_of(output) == 7);
  CHECK(output.text().find("the container has no entry") != std::string::npos);
  CHECK(on.sysctl("net/ipv4/conf/all/log_martians") == "0");
  attachment.del();
}
