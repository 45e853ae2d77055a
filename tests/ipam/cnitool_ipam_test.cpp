// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <chrono>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/process.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::contains;
using cni::test::Network;
using cni::test::Outcome;

namespace {

/// A network that cnitool finds, with leases of c0 to c2.
class Pool {
 public:
  Pool() {
    cni::test::write_text(
        configs_.path("10-net1.conflist"),
        concat(R"({"cniVersion":"1.0.0","name":"net1","plugins":[{"type":"bridge","ipam":{)",
               R"("type":"host-local","dataDir":")", net.data_dir().string(),
               R"(","ranges":[[{"subnet":"10.1.0.0/28"}],[{"subnet":"fd00::/64"}]]}}]})"));
    for (int i = 0; i < 3; ++i) REQUIRE(net.add(concat("c", i)).ok());
  }

  Outcome cnitool(std::vector<std::string> arguments, const std::string& input = "") const {
    cni::Deadline::start(std::chrono::minutes(1));
    const std::string binary = cni::test::our_plugin("cnitool");
    arguments.insert(arguments.begin(), {binary, "ipam"});
    const auto result =
        cni::run_process(binary, arguments, {concat("NETCONFPATH=", configs_.path())}, input);
    return {result.status.code, result.output};
  }

  Network net{R"("ranges":[[{"subnet":"10.1.0.0/28"}],[{"subnet":"fd00::/64"}]])"};

 private:
  cni::test::TempDir configs_;
};

}  // namespace

TEST_CASE("cnitool ipam show: who has what, and how full it is", "[cnitool]") {
  const Pool pool;
  pool.net.put("10.1.0.9", "");
  const Outcome table = pool.cnitool({"show", "net1"});
  REQUIRE(table.ok());
  REQUIRE_THAT(table.output, contains("10.1.0.1-10.1.0.14"));
  REQUIRE_THAT(table.output, contains("[#########.....................] 30%"));  // 4 of 13
  REQUIRE_THAT(table.output, contains("10.1.0.3"));
  REQUIRE_THAT(table.output, contains("(torn)"));

  const cni::Json json = pool.cnitool({"show", "net1", "--json"}).json();
  REQUIRE(json.root()["leases"].items().size() == 7);
  REQUIRE(json.root()["leases"].items()[0]["containerID"].string() == "c0");
  REQUIRE(json.root()["leases"].items()[0]["alive"].string() == "unknown");
  REQUIRE(json.root()["leases"].items()[3]["alive"].string() == "no");
  REQUIRE(json.root()["ranges"].items()[0]["size"].int_or(0, 0, 100) == 13);
}

TEST_CASE("cnitool ipam free: one address, after asking", "[cnitool]") {
  const Pool pool;
  REQUIRE(pool.cnitool({"free", "net1", "10.1.0.3"}, "n\n").ok());
  REQUIRE(pool.net.leases().contains("10.1.0.3"));
  REQUIRE(pool.cnitool({"free", "net1", "10.1.0.3"}, "y\n").ok());
  REQUIRE_FALSE(pool.net.leases().contains("10.1.0.3"));
  REQUIRE_FALSE(pool.cnitool({"free", "net1", "10.1.0.3", "--yes"}).ok());
  REQUIRE(pool.cnitool({"free", "net1", "fd00::3", "--yes"}).ok());
  REQUIRE(pool.net.leases().size() == 4);
  REQUIRE_FALSE(pool.cnitool({"free", "net1"}).ok());
  REQUIRE_FALSE(pool.cnitool({"free", "net1", "10.1.0.2", "--dead"}).ok());
  REQUIRE(pool.net.check("c2").ok());
  REQUIRE(pool.net.add("c9").ok());
}

TEST_CASE("cnitool ipam free: what looks dead", "[cnitool]") {
  cni::test::Host host;
  const Pool pool;
  REQUIRE_THAT(pool.cnitool({"free", "net1", "--dead", "--yes"}).output,
               contains("no lease looks dead"));
  host.reboot();
  REQUIRE(pool.net.add("c5").ok());
  REQUIRE(pool.cnitool({"free", "net1", "--dead", "--yes"}).ok());
  REQUIRE(pool.net.leases() == std::map<std::string, std::string>{{"10.1.0.5", "c5\r\neth0"},
                                                                  {"fd00::5", "c5\r\neth0"}});
}
