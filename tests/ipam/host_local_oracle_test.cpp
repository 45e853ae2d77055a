// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The same calls through our host-local and through Debian's build of the reference. Deliberate
// differences (error texts and codes, CHECK of addresses, STATUS, GC) are not compared here.
#include "base/concat.h"
#include "ipam/fixture.h"
#include "support/catch.h"

using cni::concat;
using cni::test::Network;
using cni::test::our_plugin;
using cni::test::Outcome;
using cni::test::read_text;
using cni::test::reference_plugin;

namespace {

const std::vector<const char*> kConfigs = {
    R"("subnet":"10.1.0.0/29")",
    R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.0","rangeEnd":"10.1.0.4","gateway":"10.1.0.2")",
    R"("ranges":[[{"subnet":"10.1.0.0/30"},{"subnet":"10.2.0.0/30"}],[{"subnet":"fd00::/126"}]])",
    R"("ranges":[[{"subnet":"fd00::/64"}]],"routes":[{"dst":"::/0"},{"dst":"fd01::/64","gw":"fd00::9"}])",
    R"("subnet":"10.9.0.0/24","ranges":[[{"subnet":"10.8.0.0/16","rangeStart":"10.8.1.250"}]])",
    R"("subnet":"10.1.0.0/32")",
    R"("subnet":"10.1.0.1/24")",
    R"("ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"10.1.0.0/25"}]])",
    R"("ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"fd00::/64"}]])",
    R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.1.0.128/25"}]])",
    R"("ranges":[[]])",
    R"("subnet":"::ffff:10.1.0.0/120")",
    R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.9","rangeEnd":"10.1.0.3")",
};

/// Everything the plugins share on disk.
std::map<std::string, std::string> files(const Network& net) {
  auto out = net.leases();
  for (int set = 0; set < 3; ++set) {
    const auto path = net.dir() / concat("last_reserved_ip.", set);
    if (std::filesystem::exists(path)) out[path.filename().string()] = read_text(path);
  }
  return out;
}

}  // namespace

TEST_CASE("host-local oracle: same results and files, call by call", "[host-local][oracle]") {
  cni::test::require_file(reference_plugin("host-local"));
  const auto* config = GENERATE(from_range(kConfigs));
  CAPTURE(config);
  // 1.x results of this old build still carry an empty "dns".
  const Network ours(config, "", "0.4.0");
  const Network theirs(config, "", "0.4.0");
  const auto both = [&](const char* verb, const std::string& id, const std::string& args = "") {
    CAPTURE(verb, id, args);
    const Outcome a = ours.call(cni::test::Call{.verb = verb, .container_id = id, .args = args});
    const Outcome b = theirs.call(cni::test::Call{
        .binary = reference_plugin("host-local"), .verb = verb, .container_id = id, .args = args});
    // Our DEL works with a configuration that the reference refuses.
    REQUIRE(a.ok() == (b.ok() || std::string_view(verb) == "DEL"));
    if (a.ok() && std::string_view(verb) == "ADD") {
      REQUIRE(a.json().dump() == b.json().dump());
    }
    REQUIRE(files(ours) == files(theirs));
  };
  for (int i = 0; i < 9; ++i) both("ADD", concat("c", i));
  both("ADD", "c1");
  both("CHECK", "c1");
  both("CHECK", "nobody");
  for (const auto* id : {"c1", "c4", "c1", "c2", "nobody"}) both("DEL", id);
  both("ADD", "r1", "IP=10.1.0.3");
  both("ADD", "r2", "IP=10.1.0.3");
  both("ADD", "r3", "IP=172.16.0.1");
  for (int i = 10; i < 14; ++i) both("ADD", concat("c", i));
  for (int i = 0; i < 14; ++i) both("DEL", concat("c", i));
  both("ADD", "last");
}

TEST_CASE("host-local oracle: each plugin removes and checks what the other made",
          "[host-local][oracle]") {
  cni::test::require_file(reference_plugin("host-local"));
  const Network net(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])", "",
                    "1.0.0");
  const std::string ours = our_plugin("host-local");
  const std::string theirs = reference_plugin("host-local");
  const auto& [maker, other] = GENERATE_COPY(std::pair{ours, theirs}, std::pair{theirs, ours});
  REQUIRE(net.call(maker, "ADD", "c1").ok());
  REQUIRE(net.call(other, "ADD", "c2").addresses() ==
          std::vector<std::string>{"10.1.0.3/24", "fd00::3/64"});
  REQUIRE(net.call(other, "CHECK", "c1").ok());
  REQUIRE_FALSE(net.call(other, "ADD", "c1").ok());
  REQUIRE(net.call(other, "DEL", "c1").ok());
  REQUIRE_FALSE(net.call(maker, "CHECK", "c1").ok());
  REQUIRE(net.call(maker, "DEL", "c2").ok());
  REQUIRE(net.leases().empty());
}
