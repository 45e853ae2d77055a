// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "rpc.h"

#include <random>

#include "base/concat.h"
#include "support/catch.h"
#include "support/error_of.h"

using namespace cni::dhcp;
using cni::concat;
using cni::IpAddress;
using cni::IpNet;
using cni::test::contains;
using cni::test::error_of;

namespace {

rpc::Call example_call() {
  return {.container_id = "c1",
          .netns = "/run/netns/c1",
          .ifname = "eth0",
          .args = "K8S_POD_NAME=pod",
          .path = "/opt/cni/bin",
          .netns_override = "",
          .config = R"({"cniVersion":"1.1.0","name":"n"})",
          .patience_ms = 29000};
}

cni::Result example_result() {
  cni::Result out;
  out.ips.push_back({std::nullopt, IpNet::parse("10.0.0.17/24"), IpAddress::parse("10.0.0.254")});
  cni::Route route;
  route.dst = IpNet::parse("0.0.0.0/0");
  route.gw = IpAddress::parse("10.0.0.254");
  route.priority = 300;
  route.mtu = 1400;
  out.routes.push_back(route);
  cni::Route link;
  link.dst = IpNet::parse("192.168.0.0/16");
  link.gw = IpAddress::parse("0.0.0.0");
  link.scope = 253;
  out.routes.push_back(link);
  out.dns = {{"10.0.0.53"}, "lab.test", {"a.test", "b.test"}, {}};
  return out;
}

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

}  // namespace

TEST_CASE("dhcp gob: numbers as Go writes them", "[dhcp]") {
  const gob::Type number{gob::Type::Kind::kUint};
  const gob::Type integer{gob::Type::Kind::kInt};
  const gob::Type type{gob::Type::Kind::kStruct, "T", nullptr, {{"U", &number}, {"I", &integer}}};
  struct Case {
    std::uint64_t u;
    std::int64_t i;
    std::string expected;  // what follows the type's id
  };
  const auto c = GENERATE(values<Case>({
      {7, 0, bytes({1, 7, 0})},
      {127, -1, bytes({1, 127, 1, 1, 0})},
      {128, -129, bytes({1, 0xff, 128, 1, 0xfe, 1, 1, 0})},
      {256, 64, bytes({1, 0xfe, 1, 0, 1, 0xff, 128, 0})},
      {0, 3, bytes({2, 6, 0})},
      {0, 0, bytes({0})},
  }));
  gob::Encoder encoder;
  const gob::Value value{gob::Fields{{"U", {c.u}}, {"I", {c.i}}}};
  const std::string out = encoder.encode(type, value);
  REQUIRE(out.ends_with(c.expected));
  gob::Decoder decoder;
  decoder.feed(out);
  const auto read = decoder.next();
  REQUIRE(read);
  REQUIRE((*read)["U"].integer() == static_cast<std::int64_t>(c.u));
  REQUIRE((*read)["I"].integer() == c.i);
}

TEST_CASE("dhcp rpc: a call arrives as it was made, in pieces of any size", "[dhcp]") {
  const std::size_t piece = GENERATE(1U, 2U, 7U, 100000U);
  rpc::ClientSide client;
  const std::string sent =
      concat("CONNECT /_goRPC_ HTTP/1.0\n\n", client.request(rpc::kAllocate, example_call()));
  rpc::ServerSide server;
  std::optional<rpc::ServerSide::Request> request;
  for (std::size_t at = 0; at < sent.size(); at += piece) {
    REQUIRE_FALSE(request);
    server.feed(std::string_view(sent).substr(at, piece));
    request = server.next();
  }
  REQUIRE(request);
  REQUIRE(request->method == "DHCP.Allocate");
  REQUIRE(request->sequence == 0);
  REQUIRE(request->call == example_call());
  REQUIRE_FALSE(server.next());

  server.answer(*request, example_result());
  const std::string answered = server.take_output();
  REQUIRE(answered.starts_with("HTTP/1.0 200 Connected to Go RPC\n\n"));
  std::optional<cni::Result> result;
  for (std::size_t at = 0; at < answered.size(); at += piece) {
    REQUIRE_FALSE(result);
    client.feed(std::string_view(answered).substr(at, piece));
    result = client.answer();
  }
  REQUIRE(result == example_result());
}

TEST_CASE("dhcp rpc: a release is answered with nothing", "[dhcp]") {
  rpc::ClientSide client;
  rpc::ServerSide server;
  server.feed(rpc::kGreeting);
  server.feed(client.request(rpc::kRelease, example_call()));
  server.answer(*server.next(), {});
  client.feed(server.take_output());
  REQUIRE(client.answer() == cni::Result{});
}

TEST_CASE("dhcp rpc: the daemon's refusal is the error", "[dhcp]") {
  rpc::ClientSide client;
  rpc::ServerSide server;
  server.feed(rpc::kGreeting);
  server.feed(client.request(rpc::kAllocate, example_call()));
  server.refuse(*server.next(), "no more tries");
  client.feed(server.take_output());
  const cni::Error error = error_of([&] { static_cast<void>(client.answer()); });
  REQUIRE(error.msg() == "error calling DHCP.Allocate: no more tries");
}

TEST_CASE("dhcp rpc: a greeting of another kind", "[dhcp]") {
  rpc::ServerSide server;
  server.feed("GET /_goRPC_ HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE_THAT(server.take_output(), contains("405 must CONNECT"));
  REQUIRE(server.is_over());
  REQUIRE_FALSE(server.next());

  rpc::ServerSide endless;
  const auto feed_much = [&] { endless.feed(std::string(10000, 'x')); };
  REQUIRE_THAT(error_of(feed_much).msg(), contains("not a greeting"));

  rpc::ClientSide client;
  static_cast<void>(client.request(rpc::kAllocate, {}));
  REQUIRE_THAT(error_of([&] { client.feed("HTTP/1.0 404 Not Found\n\n"); }).msg(),
               contains("no DHCP daemon answers"));
}

TEST_CASE("dhcp rpc: damaged and random streams are refused", "[dhcp]") {
  rpc::ClientSide client;
  const std::string good = concat(rpc::kGreeting, client.request(rpc::kAllocate, example_call()));
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    std::string stream = good;
    for (unsigned n = 1 + random() % 4; n > 0; --n) {
      const std::size_t at =
          rpc::kGreeting.size() + random() % (good.size() - rpc::kGreeting.size());
      stream[at] = static_cast<char>(random());
    }
    if (round % 5 == 0) stream.resize(rpc::kGreeting.size() + random() % 20);
    rpc::ServerSide server;
    try {
      server.feed(stream);
      while (server.next()) continue;
    } catch (const cni::Error& error) {
      REQUIRE(error.code() == cni::ErrorCode::kDecode);
    }
  }
}
