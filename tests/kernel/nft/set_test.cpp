// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Sets and maps: what we write is what nft shows and what we read.
#include "nft/set.h"

#include <linux/netfilter.h>

#include <algorithm>

#include "base/concat.h"
#include "nft/change.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/host.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::netlink::Socket;
namespace nft = cni::nft;

namespace {

const nft::Table kTable{nft::TableFamily::kInet, "t"};

void create(Socket& socket, const nft::Set& set, const std::vector<nft::SetElement>& elements) {
  nft::change(socket, "create a set", [&](nft::Transaction& transaction) {
    nft::add_table(transaction, kTable);
    nft::add_chain(transaction, kTable, "c");
    nft::add_set(transaction, set, 1);
    nft::add_elements(transaction, set, elements);
  });
}

std::vector<nft::SetElement> sorted(std::vector<nft::SetElement> elements) {
  std::ranges::sort(elements, {}, &nft::SetElement::key);
  return elements;
}

}  // namespace

TEST_CASE("set: elements of every kind are read as they were written", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  const nft::Type pair = nft::joined({nft::kIpv4Type, nft::kPortType});
  struct Kind {
    nft::Set set;
    std::vector<nft::SetElement> elements;
    std::string shown;
  };
  const auto kind = GENERATE_COPY(values<Kind>({
      {{kTable, "s", nft::kIpv4Type, {}}, {{{10, 1, 2, 3}, {}, {}, "mine a=1"}}, "10.1.2.3"},
      {{kTable, "s", nft::kIfnameType, {}}, {{nft::name_key("veth1"), {}, {}, {}}}, "\"veth1\""},
      {{kTable, "s", nft::joined({nft::kIfnameType, nft::kIpv4Type}), {}},
       {{{'v', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3}, {}, {}, "x"}},
       "\"v\" . 10.1.2.3"},
      {{kTable, "s", nft::kIpv4Type, pair},
       {{{10, 1, 2, 3}, {10, 0, 0, 1, 0x1f, 0x90, 0, 0}, {}, "x"}},
       "10.1.2.3 comment \"x\" : 10.0.0.1 . 8080"},
      {{kTable, "s", nft::kIpv4Type, nft::kVerdictType},
       {{{10, 1, 2, 3}, {}, "c", "x"},
        {{10, 1, 2, 4}, {}, "c", "x", NFT_JUMP},
        {{10, 1, 2, 5}, {}, {}, "x", NF_DROP}},
       "10.1.2.5 comment \"x\" : drop"},
  }));
  create(socket, kind.set, kind.elements);
  CHECK_THAT(tool("nft list table inet t"), Catch::Contains(kind.shown));
  CHECK(sorted(nft::list_elements(socket, kind.set)) == kind.elements);
  CHECK(nft::find_element(socket, kind.set, kind.elements.front().key) == kind.elements.front());
  nft::change(socket, "delete", [&](nft::Transaction& transaction) {
    nft::delete_element(transaction, kind.set, kind.elements.front().key);
  });
  CHECK_FALSE(nft::find_element(socket, kind.set, kind.elements.front().key));
}

TEST_CASE("set: thousands of elements, found by key and removed in one change", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  const nft::Set set{kTable, "s", nft::kIpv4Type, {}};
  std::vector<nft::SetElement> elements;
  std::vector<nft::Bytes> keys;
  for (int i = 0; i < 5000; ++i) {
    keys.push_back({10, 1, static_cast<std::uint8_t>(i / 250), static_cast<std::uint8_t>(i % 250)});
    elements.push_back({keys.back(), {}, {}, concat("owner of ", i)});
  }
  create(socket, set, elements);
  CHECK(nft::list_elements(socket, set).size() == elements.size());
  keys.push_back({192, 0, 2, 1});  // which is not there
  const auto found = nft::find_elements(socket, set, keys);
  REQUIRE(found.size() == elements.size());
  CHECK(std::ranges::equal(found, elements));
  keys.pop_back();
  nft::change(socket, "delete",
              [&](nft::Transaction& transaction) { nft::delete_elements(transaction, set, keys); });
  CHECK(nft::list_elements(socket, set).empty());
}

TEST_CASE("set: what is missing or of another type holds nothing", "[nft]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kNetfilter);
  const nft::Set set{kTable, "s", nft::kIpv4Type, {}};
  const auto empty = [&] {
    return !nft::find_element(socket, set, {10, 1, 2, 3}) && nft::list_sets(socket, kTable).empty();
  };
  CHECK(empty());
  tool("nft add table inet t");
  CHECK(empty());
  tool("nft add set inet t s { type inet_service ; elements = { 80 } ; }");
  CHECK_FALSE(nft::find_element(socket, set, {10, 1, 2, 3}));
}
