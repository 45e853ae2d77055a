// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <sys/stat.h>

#include "base/concat.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::contains;
using cni::test::Network;
using cni::test::Outcome;
using cni::test::read_text;
using cni::test::run;
using Strings = std::vector<std::string>;

TEST_CASE("host-local ADD: one address per range set, with gateway and routes", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]],)"
                    R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"10.9.0.0/16","gw":"10.1.0.9"}])");
  const Outcome outcome = net.add("c1");
  REQUIRE(outcome.ok());
  REQUIRE(outcome.addresses() == Strings{"10.1.0.2/24", "fd00::2/64"});
  const cni::Json result = outcome.json();
  REQUIRE(result.root()["ips"].items()[1]["gateway"].string() == "fd00::1");
  REQUIRE(result.root()["routes"].items()[1]["gw"].string() == "10.1.0.9");
  REQUIRE_FALSE(result.root()["interfaces"].present());
}

TEST_CASE("host-local ADD: the files are the reference's", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])");
  REQUIRE(net.add("c1").ok());
  REQUIRE(net.leases() == std::map<std::string, std::string>{{"10.1.0.2", "c1\r\neth0"},
                                                             {"fd00::2", "c1\r\neth0"}});
  REQUIRE(read_text(net.dir() / "last_reserved_ip.0") == "10.1.0.2");
  REQUIRE(read_text(net.dir() / "last_reserved_ip.1") == "fd00::2");
  struct stat info {};
  REQUIRE(::stat((net.dir() / "10.1.0.2").c_str(), &info) == 0);
  REQUIRE((info.st_mode & 07777) == 0600);
  REQUIRE(::stat((net.dir() / "last_reserved_ip.0").c_str(), &info) == 0);
  REQUIRE((info.st_mode & 07777) == 0600);
  REQUIRE(::stat(net.dir().c_str(), &info) == 0);
  REQUIRE((info.st_mode & 07777) == 0755);
}

TEST_CASE("host-local ADD: round robin, the last address comes last", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/29")");
  for (int i = 2; i <= 6; ++i) {
    REQUIRE(net.add(concat("c", i)).addresses() == Strings{concat("10.1.0.", i, "/29")});
  }
  REQUIRE(net.add("c7").code() == 11);
  REQUIRE(net.del("c6").ok());
  REQUIRE(net.add("c8").addresses() == Strings{"10.1.0.6/29"});
  REQUIRE(net.del("c3").ok());
  REQUIRE(net.del("c5").ok());
  REQUIRE(net.add("c9").addresses() == Strings{"10.1.0.3/29"});
  REQUIRE(net.add("c10").addresses() == Strings{"10.1.0.5/29"});
}

TEST_CASE("host-local ADD: gateways of every range of a set stay free", "[host-local]") {
  const Network net(
      R"("ranges":[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.11",)"
      R"("gateway":"10.1.0.21"},)"
      R"({"subnet":"10.1.0.0/24","rangeStart":"10.1.0.20","rangeEnd":"10.1.0.22"}]])");
  Strings got;
  for (int i = 0; i < 4; ++i) got.push_back(net.add(concat("c", i)).addresses().at(0));
  REQUIRE(got == Strings{"10.1.0.10/24", "10.1.0.11/24", "10.1.0.20/24", "10.1.0.22/24"});
  REQUIRE(net.add("c5").code() == 11);
  REQUIRE(net.add("c6", "eth0", "IP=10.1.0.21").code() == 7);
}

TEST_CASE("host-local ADD: requested addresses", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/24"}]])");
  REQUIRE(net.add("c1", "eth0", "IP=10.2.0.77").addresses() ==
          Strings{"10.1.0.2/24", "10.2.0.77/24"});
  REQUIRE(read_text(net.dir() / "last_reserved_ip.1") == "10.2.0.77");

  const Outcome taken = net.add("c2", "eth0", "IP=10.2.0.77");
  REQUIRE(taken.code() == 102);
  REQUIRE_THAT(taken.message(), contains("10.2.0.77 is not available in range set 10.2.0.1-"));
  REQUIRE_THAT(taken.message(), contains("\"c1\""));
  REQUIRE(net.leases().size() == 2);  // nothing of c2 is left

  const Outcome outside = net.add("c2", "eth0", "IP=10.3.0.1");
  REQUIRE(outside.code() == 7);
  REQUIRE_THAT(outside.message(), contains("failed to allocate all requested IPs: 10.3.0.1"));
  REQUIRE(net.leases().size() == 2);
  REQUIRE(net.add("c3", "eth0", "IP=10.1.0.1").code() == 7);
}

TEST_CASE("host-local ADD: a second one for the attachment fails and frees nothing",
          "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/24"}]])");
  REQUIRE(net.add("c1").ok());
  const auto before = net.leases();
  const Outcome again = net.add("c1");
  REQUIRE(again.code() == 102);
  REQUIRE_THAT(again.message(), contains("10.1.0.2 has been allocated to c1, duplicate"));
  REQUIRE_THAT(again.message(), contains((net.dir() / "10.1.0.2").string()));
  // Half of it is served before the second set refuses.
  REQUIRE(net.add("c1", "eth0", "IP=10.1.0.50").code() == 102);
  REQUIRE(net.leases() == before);
  REQUIRE(net.add("c1", "eth1").ok());
}

TEST_CASE("host-local DEL: frees what the attachment has, again and again", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])");
  REQUIRE(net.del("c1").ok());
  REQUIRE_FALSE(std::filesystem::exists(net.dir()));
  REQUIRE(net.add("c1").ok());
  REQUIRE(net.add("c1", "eth1").ok());
  REQUIRE(net.del("c1").ok());
  REQUIRE(net.del("c1").ok());
  REQUIRE(net.leases() == std::map<std::string, std::string>{{"10.1.0.3", "c1\r\neth1"},
                                                             {"fd00::3", "c1\r\neth1"}});
  REQUIRE(read_text(net.dir() / "last_reserved_ip.0") == "10.1.0.3");
}

TEST_CASE("host-local DEL: works with a configuration that ADD refuses", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  REQUIRE(net.add("c1").ok());
  const std::string broken =
      concat(R"({"cniVersion":"1.1.0","name":"net1","ipam":{"dataDir":")", net.data_dir().string(),
             R"(","ranges":[[{"subnet":"10.1.0.0/33"}]],"resolvConf":"/nowhere"}})");
  REQUIRE(run({.verb = "ADD"}, broken).code() == 7);
  REQUIRE(run({.verb = "DEL", .args = "bad;"}, broken).ok());
  REQUIRE(net.leases().empty());
}

TEST_CASE("host-local DEL: old leases know only the container", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  net.put("10.1.0.7", "c1");
  net.put("10.1.0.8", "c2\n");
  REQUIRE(net.check("c1", "eth5").ok());
  REQUIRE(net.del("c1", "eth5").ok());
  REQUIRE(net.leases() == std::map<std::string, std::string>{{"10.1.0.8", "c2\n"}});
}

TEST_CASE("host-local: an id that looks like an address harms nothing", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  REQUIRE(net.add("c1").ok());
  REQUIRE(net.check("10.1.0.2").code() == 101);
  REQUIRE(net.del("10.1.0.2").ok());
  REQUIRE(read_text(net.dir() / "last_reserved_ip.0") == "10.1.0.2");
  REQUIRE(net.leases().size() == 1);
}

TEST_CASE("host-local: no walk into sub-directories", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  REQUIRE(net.add("c1").ok());
  std::filesystem::create_directories(net.dir() / "other");
  std::filesystem::create_directories(net.dir() / "10.1.0.3");
  net.put("other/10.1.0.9", "c1\r\neth0");
  net.put("10.1.0.3/10.1.0.9", "c1\r\neth0");
  REQUIRE(net.add("c2").addresses() == Strings{"10.1.0.4/24"});
  REQUIRE(net.del("c1").ok());
  REQUIRE(read_text(net.dir() / "other/10.1.0.9") == "c1\r\neth0");
  REQUIRE(read_text(net.dir() / "10.1.0.3/10.1.0.9") == "c1\r\neth0");
  REQUIRE(net.gc({}).ok());
  REQUIRE(read_text(net.dir() / "other/10.1.0.9") == "c1\r\neth0");
}

TEST_CASE("host-local ADD: a link of two", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.4/31"}],[{"subnet":"fd00::2/127"}]])");
  const Outcome outcome = net.add("c1");
  REQUIRE(outcome.addresses() == Strings{"10.1.0.5/31", "fd00::3/127"});
  const cni::Json json = outcome.json();
  REQUIRE(json.root()["ips"].items()[0]["gateway"].string() == "10.1.0.4");
  REQUIRE(net.check("c1").ok());
  REQUIRE(net.add("c2").code() == 11);
  REQUIRE(net.status().code() == 50);
  REQUIRE(net.del("c1").ok());
  REQUIRE(net.add("c2").ok());
}

TEST_CASE("host-local ADD: a requested address outside the range, by key", "[host-local]") {
  const std::string range =
      R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.20")";
  const Network strict(range);
  const Outcome refused = strict.add("c1", "eth0", "IP=10.1.0.77");
  REQUIRE(refused.code() == 7);
  REQUIRE_THAT(refused.message(), contains("requestsOutsideRanges"));

  const Network net(concat(range, R"(,"requestsOutsideRanges":true)"));
  REQUIRE(net.add("c0").addresses() == Strings{"10.1.0.10/24"});
  const Outcome outcome = net.add("c1", "eth0", "IP=10.1.0.77");
  REQUIRE(outcome.addresses() == Strings{"10.1.0.77/24"});
  REQUIRE(net.leases().at("10.1.0.77") == "c1\r\neth0");
  // Whoever asks for nothing gets what comes next in the range.
  REQUIRE(net.add("c3").addresses() == Strings{"10.1.0.11/24"});
  REQUIRE(net.add("c1").code() == 102);
  REQUIRE(net.add("c2", "eth0", "IP=10.1.0.77").code() == 102);
  for (const auto* nobodys : {"10.1.0.1", "10.1.0.0", "10.1.0.255", "10.2.0.1"}) {
    REQUIRE(net.add("c2", "eth0", concat("IP=", nobodys)).code() == 7);
  }
  const auto check = [&](const char* address) {
    return run({.verb = "CHECK"},
               net.conf_with(concat(R"(,"prevResult":{"cniVersion":"1.1.0","ips":[{"address":")",
                                    address, R"("}]})")));
  };
  REQUIRE(check("10.1.0.77/24").ok());
  REQUIRE(check("10.1.0.78/24").code() == 101);
  REQUIRE(net.del("c1").ok());
  REQUIRE_FALSE(net.leases().contains("10.1.0.77"));
}

TEST_CASE("host-local ADD: a request outside one set's range is not taken from another's",
          "[host-local]") {
  const Network net(
      R"("ranges":[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.20"}],)"
      R"([{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.30","rangeEnd":"10.1.0.40"}]],)"
      R"("requestsOutsideRanges":true)");
  REQUIRE(net.add("c1", "eth0", "IP=10.1.0.33").addresses() ==
          Strings{"10.1.0.10/24", "10.1.0.33/24"});
}

TEST_CASE("host-local DEL: a lease of the old format beside a new one", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/24"}]])");
  REQUIRE(net.add("c1").addresses() == Strings{"10.1.0.2/24", "10.2.0.2/24"});
  std::filesystem::remove(net.dir() / "10.2.0.2");
  net.put("10.2.0.2", "c1");
  const std::string previous =
      R"(,"prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.2/24"},)"
      R"({"address":"10.2.0.2/24"}]})";
  const std::string alive = "/proc/self/ns/net";
  REQUIRE(run({.verb = "CHECK", .netns = alive}, net.conf_with(previous)).ok());
  SECTION("of a container that is gone") { REQUIRE(net.del("c1").ok()); }
  SECTION("that prevResult has") {
    REQUIRE(run({.verb = "DEL", .netns = alive}, net.conf_with(previous)).ok());
  }
  SECTION("of another interface, maybe") {
    REQUIRE(run({.verb = "DEL", .netns = alive}, net.conf()).ok());
    REQUIRE(net.leases().size() == 1);
    REQUIRE(run({.verb = "DEL", .netns = alive}, net.conf()).ok());
  }
  REQUIRE(net.leases().empty());
}

TEST_CASE("host-local: a long id is no torn lease", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/29")");
  const std::string id(100000, 'x');
  REQUIRE(net.add(id).ok());
  REQUIRE(net.add(id).code() == 102);
  REQUIRE(net.check(id).ok());
  REQUIRE(net.gc({id + "/eth0"}).ok());
  REQUIRE(net.leases().size() == 1);
  REQUIRE(net.del(id).ok());
  REQUIRE(net.leases().empty());
}

TEST_CASE("host-local: a FIFO in the place of a file hangs nobody", "[host-local]") {
  const cni::test::TempDir temp;
  const std::string fifo = temp.path("resolv.conf");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const Network net(concat(R"("subnet":"10.1.0.0/24","resolvConf":")", fifo, "\""));
  std::filesystem::create_directories(net.dir());
  const auto* name = GENERATE("lock", "last_reserved_ip.0", "10.1.0.2");
  REQUIRE(::mkfifo((net.dir() / name).c_str(), 0600) == 0);
  REQUIRE(net.add("c1").ok());
  REQUIRE(net.add("c2").ok());
  REQUIRE(net.del("c1").ok());
  REQUIRE(net.del("c2").ok());
  REQUIRE(net.leases().empty());
}

TEST_CASE("host-local: links in the place of files lead nowhere", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  const cni::test::TempDir elsewhere;
  std::filesystem::create_directories(net.dir());
  SECTION("the lock: nothing is made there") {
    std::filesystem::create_symlink(elsewhere.path("made"), net.dir() / "lock");
    for (const Outcome& outcome : {net.add("c1"), net.del("c1"), net.gc({})}) {
      REQUIRE(outcome.code() == 5);
      REQUIRE_THAT(outcome.message(), contains(concat(net.dir().string(), "/lock")));
      REQUIRE_THAT(outcome.message(), contains("ELOOP"));
    }
    REQUIRE_FALSE(std::filesystem::exists(elsewhere.path("made")));
  }
  SECTION("the address handed out last: nothing is written there") {
    cni::test::write_text(elsewhere.path("theirs"), "untouched");
    std::filesystem::create_symlink(elsewhere.path("theirs"), net.dir() / "last_reserved_ip.0");
    REQUIRE(net.add("c1").addresses() == Strings{"10.1.0.2/24"});
    REQUIRE(net.add("c2").addresses() == Strings{"10.1.0.3/24"});
    REQUIRE(read_text(elsewhere.path("theirs")) == "untouched");
    REQUIRE(read_text(net.dir() / "last_reserved_ip.0") == "10.1.0.3");
  }
}

TEST_CASE("host-local: a network whose name can be no directory", "[host-local]") {
  const cni::test::TempDir temp;
  const auto verb = [&](const char* name, std::size_t length) {
    return run(
        {.verb = name},
        concat(R"({"cniVersion":"1.1.0","type":"test","cni.dev/valid-attachments":[],"name":")",
               std::string(length, 'n'), R"(","ipam":{"type":"host-local","dataDir":")",
               temp.path(), R"(","subnet":"10.1.0.0/24"}})"));
  };
  for (const std::size_t length : {255U, 250U}) {
    for (const auto* name : {"STATUS", "ADD", "CHECK", "DEL", "DEL", "GC"}) {
      CAPTURE(name, length);
      REQUIRE(verb(name, length).ok());
    }
  }
  for (const std::size_t length : {256U, 5000U}) {
    CAPTURE(length);
    const Outcome outcome = verb("ADD", length);
    REQUIRE(outcome.code() == 7);
    REQUIRE_THAT(outcome.message(), contains(concat("at most 255 bytes, has ", length)));
    REQUIRE(verb("STATUS", length).code() == 50);
    REQUIRE(verb("CHECK", length).code() == 101);
    REQUIRE(verb("DEL", length).ok());
    REQUIRE(verb("GC", length).ok());
  }
}

TEST_CASE("host-local CHECK: compares prevResult with the leases", "[host-local]") {
  const Network net(R"("subnet":"10.1.0.0/24")");
  const auto check = [&](const char* address) {
    return run({.verb = "CHECK"},
               net.conf_with(concat(R"(,"prevResult":{"cniVersion":"1.1.0","ips":[{"address":")",
                                    address, R"("}]})")));
  };
  REQUIRE(net.check("c1").code() == 101);
  REQUIRE_FALSE(std::filesystem::exists(net.dir()));
  REQUIRE(net.add("c1").ok());
  REQUIRE(net.add("c2").ok());
  REQUIRE(net.check("c1").ok());
  REQUIRE(check("10.1.0.2/24").ok());
  REQUIRE(check("192.168.0.1/24").ok());  // of another IPAM plugin
  REQUIRE(check("10.1.0.3/24").code() == 101);
  REQUIRE_THAT(check("10.1.0.3/24").message(), contains("\"c2\""));
}

TEST_CASE("host-local GC: frees exactly what is not valid", "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])");
  for (const auto* id : {"c1", "c2", "c3"}) REQUIRE(net.add(id).ok());
  REQUIRE(net.add("c1", "eth1").ok());
  net.put("10.1.0.100", "old1");
  net.put("10.1.0.101", "old2");
  net.put("notes.txt", "c3\r\neth0");

  REQUIRE(run({.verb = "GC"}, net.conf()).ok());
  REQUIRE(net.leases().size() == 11);  // nothing is known: nothing is collected

  REQUIRE(net.gc({"c1/eth0", "c2/eth0", "old1/eth7"}).ok());
  REQUIRE(net.leases() == std::map<std::string, std::string>{{"10.1.0.2", "c1\r\neth0"},
                                                             {"10.1.0.3", "c2\r\neth0"},
                                                             {"fd00::2", "c1\r\neth0"},
                                                             {"fd00::3", "c2\r\neth0"},
                                                             {"10.1.0.100", "old1"},
                                                             {"notes.txt", "c3\r\neth0"}});
  REQUIRE(net.gc({}).ok());
  REQUIRE(net.leases() == std::map<std::string, std::string>{{"notes.txt", "c3\r\neth0"}});
}

TEST_CASE("host-local STATUS: 50 when nothing is left or the configuration is unusable",
          "[host-local]") {
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/30"}]])");
  REQUIRE(net.status().ok());
  REQUIRE_FALSE(std::filesystem::exists(net.dir()));
  REQUIRE(net.add("c1").ok());
  const Outcome full = net.status();
  REQUIRE(full.code() == 50);
  REQUIRE_THAT(full.message(), contains("10.2.0.1-10.2.0.2"));
  REQUIRE(Network(R"("subnet":"10.1.0.0/32")").status().code() == 50);
  REQUIRE(Network(R"("x":1)").status().code() == 50);
}

TEST_CASE("host-local: a dataDir that can be none", "[host-local]") {
  const cni::test::TempDir temp;
  cni::test::write_text(temp.path("file"), "");
  const auto call = [&](const char* verb, const std::string& dir) {
    return run({.verb = verb},
               concat(R"({"cniVersion":"1.1.0","name":"net1","ipam":{"subnet":"10.1.0.0/24",)",
                      R"("dataDir":")", dir, "\"}}"));
  };
  const std::string file = temp.path("file");
  REQUIRE(call("ADD", file).code() == 5);
  const Outcome status = call("STATUS", file);
  REQUIRE(status.code() == 50);
  REQUIRE_THAT(status.message(), contains(file));
  REQUIRE(call("DEL", file).ok());
  // The kernel would take what is before the zero byte for the path.
  const std::string cut = concat(temp.path(), "\\u0000x");
  REQUIRE(call("ADD", cut).code() == 7);
  REQUIRE(call("STATUS", cut).code() == 50);
  REQUIRE(call("DEL", cut).ok());
  REQUIRE(temp.names() == Strings{"file"});
  REQUIRE(call("STATUS", temp.path("not/there/yet")).ok());
}

TEST_CASE("host-local: dns from resolvConf", "[host-local]") {
  const cni::test::TempDir temp;
  const std::string path = temp.path("resolv.conf");
  cni::test::write_text(path, "nameserver 10.0.0.53\nsearch a b\n");
  const Network net(concat(R"("subnet":"10.1.0.0/24","resolvConf":")", path, "\""));
  REQUIRE(net.add("c1").json().root()["dns"]["search"].strings() == Strings{"a", "b"});
  std::filesystem::remove(path);
  REQUIRE(net.add("c2").code() == 7);
  REQUIRE(net.leases().size() == 1);
  REQUIRE(net.del("c1").ok());
}

TEST_CASE("host-local: every specification version", "[host-local]") {
  const auto* version = GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  const Network net(R"("subnet":"10.1.0.0/24","routes":[{"dst":"0.0.0.0/0"}])", "", version);
  const Outcome outcome = net.add("c1");
  REQUIRE(outcome.ok());
  REQUIRE(outcome.json().root()["cniVersion"].string() == version);
  REQUIRE_THAT(outcome.output, contains("10.1.0.2/24"));
  REQUIRE(net.del("c1").ok());
  REQUIRE(net.leases().empty());
}
