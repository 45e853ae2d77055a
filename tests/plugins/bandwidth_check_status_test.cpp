// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// CHECK names what has changed since ADD; STATUS asks the kernel and leaves nothing.
#include "base/error.h"
#include "plugins/bandwidth_fixture.h"
#include "support/catch.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

struct Checked {
  VethHost on;
  Attachment attachment = on.chained("bandwidth", kBothWays);
  std::string ifb;

  Checked() {
    attachment.conf = with(attachment.conf, "prevResult", attachment.add());
    ifb = ifbs().at(0);
    const Output output = attachment.run("CHECK");
    INFO(output.text());
    REQUIRE(output.ok());
  }
  void require_noticed(const std::string& change, const std::string& named) const {
    INFO(change);
    tool(change);
    const Output output = attachment.run("CHECK");
    CHECK(code_of(output) == 101);
    CHECK_THAT(message_of(output), contains(named));
  }
  [[nodiscard]] std::string handle_of(std::string_view link) const {
    return root_qdisc(link).root()["handle"].string();
  }
};

}  // namespace

TEST_CASE("bandwidth CHECK: notices what became of the token buckets", "[bandwidth][check]") {
  const Checked checked;
  const bool down = GENERATE(true, false);
  const std::string link = down ? "host0" : checked.ifb;
  const std::string good = down ? "rate 10mbit burst 100000" : "rate 20mbit burst 50000";
  const std::string change =
      concat("tc qdisc change dev ", link, " root handle ", checked.handle_of(link), " tbf ");
  SECTION("gone") { checked.require_noticed(concat("tc qdisc del dev ", link, " root"), link); }
  SECTION("another kind") {
    checked.require_noticed(concat("tc qdisc replace dev ", link, " root handle 7: htb"), "htb");
  }
  SECTION("rate") {
    checked.require_noticed(concat(change, "rate 9mbit burst 100000 limit 20000"), "rate");
  }
  SECTION("burst") {
    checked.require_noticed(
        concat(change, down ? "rate 10mbit" : "rate 20mbit", " burst 99000 limit 20000"), "burst");
  }
  SECTION("limit") { checked.require_noticed(concat(change, good, " limit 20000"), "limit"); }
  SECTION("large packets are not cut any more") {
    const std::string limit = down ? "12500" : "25000";
    checked.require_noticed(concat(change, good, " limit ", limit), "peak");
  }
}

TEST_CASE("bandwidth CHECK: notices what became of the redirection and the ifb",
          "[bandwidth][check]") {
  const Checked checked;
  const std::string& ifb = checked.ifb;
  SECTION("no clsact") { checked.require_noticed("tc qdisc del dev host0 clsact", "redirected"); }
  SECTION("no filter") { checked.require_noticed("tc filter del dev host0 ingress", "redirected"); }
  SECTION("another target") {
    tool("ip link add ifb7 type ifb");
    tool("tc filter del dev host0 ingress");
    checked.require_noticed(
        "tc filter add dev host0 ingress protocol all u32 match u32 0 0 action mirred egress "
        "redirect dev ifb7",
        "redirected");
  }
  SECTION("a filter for some packets only") {
    tool("tc filter del dev host0 ingress");
    checked.require_noticed(
        concat("tc filter add dev host0 ingress protocol all u32 match u32 5 15 action mirred "
               "egress redirect dev ",
               ifb),
        "redirected");
  }
  SECTION("a copy instead of a redirection") {
    tool("tc filter del dev host0 ingress");
    checked.require_noticed(
        concat("tc filter add dev host0 ingress protocol all u32 match u32 0 0 action mirred "
               "egress mirror dev ",
               ifb),
        "redirected");
  }
  SECTION("no ifb") { checked.require_noticed(concat("ip link del ", ifb), ifb); }
  SECTION("down") { checked.require_noticed(concat("ip link set ", ifb, " down"), "down"); }
  SECTION("MTU") { checked.require_noticed(concat("ip link set ", ifb, " mtu 1400"), "MTU"); }
  SECTION("alias") { checked.require_noticed(concat("ip link set ", ifb, " alias x"), "alias"); }
  SECTION("the veth's MTU") { checked.require_noticed("ip link set host0 mtu 1300", "MTU"); }
  SECTION("no veth") { checked.require_noticed("ip link del host0", "eth0"); }
}

TEST_CASE("bandwidth CHECK: an ifb with another MAC than prevResult says", "[bandwidth][check]") {
  Checked checked;
  cni::Json previous = checked.on.previous();
  cni::Json interfaces(previous.root()["interfaces"]);
  interfaces.push(cni::Json::object().set("name", checked.ifb).set("mac", "02:00:00:00:00:77"));
  checked.attachment.conf =
      with(checked.attachment.conf, "prevResult", previous.set("interfaces", interfaces));
  checked.require_noticed("true", "MAC");
}

TEST_CASE("bandwidth CHECK: notices a changed fq_codel, where there is one", "[bandwidth][check]") {
  const Checked checked;
  const std::string handle = checked.handle_of("host0");
  if (handle != "cc1:") {
    CHECK(handle == "cc2:");  // the kernel has none
    return;
  }
  CHECK(tool("tc qdisc show dev host0").find("fq_codel") != std::string::npos);
  const char* const change = GENERATE("fq_codel target 7ms", "bfifo limit 100000");
  checked.require_noticed(concat("tc qdisc replace dev host0 parent cc1:1 ", change), "fq_codel");
}

TEST_CASE("bandwidth CHECK: changes nothing, and needs a prevResult", "[bandwidth][check]") {
  Checked checked;
  const Snapshot before = snapshot_host();
  CHECK(checked.attachment.run("CHECK").ok());
  CHECK(difference(before, snapshot_host()) == "");
  checked.attachment.conf = R"({"cniVersion":"1.1.0","name":"net1","type":"bandwidth"})";
  CHECK(code_of(checked.attachment.run("CHECK")) == 7);
}

TEST_CASE("bandwidth STATUS: asks the kernel, and leaves nothing", "[bandwidth][status]") {
  const VethHost on;
  const Snapshot before = snapshot_host();
  const Attachment attachment = on.chained(
      "bandwidth",
      GENERATE("", R"("ingressRate":10000000,"ingressBurst":800000)",
               R"("ingressRate":10000000,"ingressBurst":800000,"egressRate":8,"egressBurst":8)"));
  const Output output = attachment.run("STATUS");
  INFO(output.text());
  CHECK(output.ok());
  CHECK(difference(before, snapshot_host()) == "");
  CHECK(code_of(on.chained("bandwidth", R"("ingressRate":-1)").run("STATUS")) == 7);
}

TEST_CASE("bandwidth STATUS: without the permission", "[bandwidth][status]") {
  const VethHost on;
  Command command = on.chained("bandwidth", kBothWays).command("STATUS");
  command.argv.insert(command.argv.begin(),
                      {"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"});
  CHECK(code_of(run(command)) == 50);
}
