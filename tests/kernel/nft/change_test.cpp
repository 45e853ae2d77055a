// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// How the ruleset is changed while others change it, and what is compared.
#include "nft/change.h"

#include <linux/netfilter.h>

#include "base/concat.h"
#include "base/error.h"
#include "nft/difference.h"
#include "nft/ensure.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/host.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::KernelError;
using cni::netlink::Socket;
namespace nft = cni::nft;

namespace {

const nft::Table kTable{nft::TableFamily::kInet, "t"};
constexpr nft::Hook kHook{"filter", NF_INET_FORWARD, 0};

std::vector<nft::NamedRule> rules() {
  return {{"one",
           [](nft::Rule& rule) {
             rule.match_destination(cni::IpNet::parse("10.1.0.0/16")).verdict(NFT_RETURN);
           }},
          {"two", [](nft::Rule& rule) { rule.verdict(NF_DROP); }}};
}

void create(nft::Transaction& transaction) {
  nft::add_table(transaction, kTable);
  nft::add_base_chain(transaction, kTable, "base", kHook);
  nft::add_chain(transaction, kTable, "c");
  nft::add_set(transaction, {kTable, "s", nft::kIpv4Type, {}}, 1);
  nft::add_rules(transaction, kTable, "c", rules());
}

}  // namespace

TEST_CASE("change: begins again when the ruleset has changed since the look", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  int calls = 0;
  nft::change(socket, "create", [&](nft::Transaction& transaction) {
    if (++calls < 3) tool(concat("nft add table inet other", calls));
    nft::add_table(transaction, kTable);
  });
  CHECK(calls == 3);
  CHECK(nft::has_table(socket, kTable));
}

TEST_CASE("change: a refusal by an unchanged ruleset is final", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  int calls = 0;
  const auto impossible = [&](nft::Transaction& transaction) {
    ++calls;
    nft::delete_table(transaction, kTable);
  };
  CHECK_THROWS_AS(nft::change(socket, "delete", impossible), KernelError);
  CHECK(calls == 1);
  int looks = 0;
  nft::change(socket, "delete", impossible, [&](nft::Transaction&) { ++looks; });
  CHECK(calls == 2);
  CHECK(looks == 1);
}

TEST_CASE("change: what is in use stays, and is no failure where that is expected", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  nft::change(socket, "create", create);
  tool("nft add rule inet t base jump c");
  const auto remove = [](nft::Transaction& transaction) {
    nft::delete_chain(transaction, kTable, "c");
  };
  CHECK_FALSE(nft::change_unless_busy(socket, "delete", remove));
  CHECK(nft::find_chain_use(socket, kTable, "c") == 3U);  // two rules of its own, one jump
  tool("nft flush chain inet t base");
  CHECK(nft::change_unless_busy(socket, "delete", remove));
  CHECK_FALSE(nft::find_chain_use(socket, kTable, "c"));
}

TEST_CASE("rehearse: says what would be refused and changes nothing", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  nft::Transaction possible;
  create(possible);
  CHECK_NOTHROW(nft::rehearse(socket, std::move(possible)));
  CHECK(tool("nft list ruleset").empty());
  nft::Transaction impossible;
  nft::delete_table(impossible, kTable);
  CHECK_THROWS_AS(nft::rehearse(socket, std::move(impossible)), KernelError);
}

TEST_CASE("difference: what was altered is named", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  nft::Transaction wanted;
  create(wanted);
  CHECK(nft::find_difference(socket, wanted) == "nf_tables table inet t is missing");
  nft::change(socket, "create", create);
  CHECK(nft::find_difference(socket, wanted) == std::nullopt);
  const auto alter = [&](const std::vector<std::string>& commands, std::string_view named) {
    for (const std::string& command : commands) tool(command);
    const auto difference = nft::find_difference(socket, wanted);
    REQUIRE(difference);
    CHECK_THAT(*difference, Catch::Contains(std::string(named)));
    tool("nft delete table inet t");
    nft::change(socket, "create", create);
  };
  alter({"nft add table inet t { flags dormant ; }"}, "dormant");
  alter({"nft add rule inet t c accept"}, "not ours");
  alter({"nft insert rule inet t c accept"}, "one");
  alter(
      {"nft flush chain inet t c", "nft add rule inet t c ip daddr 10.2.0.0/16 return comment one",
       "nft add rule inet t c drop comment two"},
      "one");
  alter(
      {"nft flush chain inet t c", "nft add rule inet t c ip daddr 10.1.0.0/16 return comment one",
       "nft add rule inet t c accept comment two"},
      "two");
  alter({"nft delete set inet t s", "nft add set inet t s { type ipv6_addr ; }"}, "set inet t s");
  alter({"nft delete chain inet t base", "nft add chain inet t base"}, "chain inet t base");
  alter({"nft delete chain inet t base",
         "nft add chain inet t base { type filter hook input priority 0 ; }"},
        "chain inet t base");
  SECTION("others may be allowed") {
    nft::Transaction among;
    nft::add_rules(among, kTable, "c", rules());
    tool("nft insert rule inet t c accept");
    CHECK(nft::find_difference(socket, among));
    CHECK_FALSE(nft::find_difference(socket, among, nft::Others::kAllowed));
    tool("nft flush chain inet t c");
    CHECK(nft::find_difference(socket, among, nft::Others::kAllowed));
  }
  SECTION("as nft writes it") {
    tool("nft flush chain inet t c");
    tool("nft add rule inet t c ip daddr 10.1.0.0/16 return comment one");
    tool("nft add rule inet t c drop comment two");
    CHECK(nft::find_difference(socket, wanted) == std::nullopt);
    tool("nft flush chain inet t c");
    tool("nft add rule inet t c ip daddr & 255.255.0.0 == 10.1.0.0 return comment one");
    tool("nft add rule inet t c drop comment two");
    CHECK(nft::find_difference(socket, wanted) == std::nullopt);
  }
}

TEST_CASE("delete_parts: others' chains and sets stay, an empty table goes", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  nft::change(socket, "create", create);
  const auto is_part = [](std::string_view name) {
    return name == "c" || name == "base" || name == "s";
  };
  const auto remove = [&](bool unused) {
    nft::remove_parts(socket, kTable, is_part, [&] { return unused; });
  };
  SECTION("in use") {
    remove(false);
    CHECK(nft::has_chain(socket, kTable, "c"));
  }
  SECTION("alone") {
    remove(true);
    CHECK_FALSE(nft::has_table(socket, kTable));
  }
  SECTION("beside somebody's set") {
    tool("nft add set inet t other { type ipv4_addr ; }");
    remove(true);
    CHECK(nft::list_chains(socket, kTable).empty());
    CHECK(nft::list_sets(socket, kTable) == std::vector<std::string>{"other"});
    remove(true);
    CHECK(nft::has_table(socket, kTable));
  }
}
