// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "config.h"

#include "base/concat.h"
#include "lease_files.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"
#include "unit/ipam/dhcp/messages.h"

using namespace cni::dhcp;
using namespace cni::dhcp::test;
using cni::concat;
using cni::test::contains;
using cni::test::error_of;

namespace {

rpc::Call call_with(const std::string& ipam, const std::string& args = "") {
  rpc::Call out;
  out.container_id = "c1";
  out.ifname = "eth0";
  out.args = args;
  out.config = concat(R"({"cniVersion":"1.1.0","name":"net","type":"t","ipam":)", ipam, "}");
  return out;
}

Config parse(const std::string& ipam, const std::string& args = "") {
  const rpc::Call call = call_with(ipam, args);
  return Config::parse(parse_conf(call), call);
}

}  // namespace

TEST_CASE("dhcp config: what is asked for", "[dhcp]") {
  REQUIRE(parse("{}").parameters == Bytes{121, 1, 3, 33, 6, 15, 119, 26});
  REQUIRE(
      parse(R"({"request":[{"option":"routers"},{"option":"42"},{"option":"42"}]})").parameters ==
      Bytes{3, 42, 121, 1, 33, 6, 15, 119, 26});
  REQUIRE(parse(R"({"request":[{"skipDefault":true,"option":"subnet-mask"}]})").parameters ==
          Bytes{1});
}

TEST_CASE("dhcp config: what is provided", "[dhcp]") {
  const Options options =
      parse(R"({"provide":[{"option":"host-name","fromArg":"K8S_POD_NAME","value":"x"},)"
            R"({"option":"60","value":"v"},{"option":"77","fromArg":"ABSENT"}]})",
            "IgnoreUnknown=1;K8S_POD_NAME=pod-1")
          .provided;
  REQUIRE(options == Options{{12, bytes_of("pod-1")}, {60, bytes_of("v")}});
}

TEST_CASE("dhcp config: the pod's name", "[dhcp]") {
  const std::string args = "K8S_POD_NAME=pod";
  REQUIRE(parse("{}", args).provided.empty());
  REQUIRE(parse(R"({"hostName":"name"})", args).provided == Options{{12, bytes_of("pod")}});
  REQUIRE(parse(R"({"hostName":"fqdn"})", args).provided ==
          Options{{81, {1, 0, 0, 'p', 'o', 'd'}}});
  REQUIRE(parse(R"({"hostName":"name"})").provided.empty());
}

TEST_CASE("dhcp config: client identifiers", "[dhcp]") {
  const auto id = [](const std::string& ipam) {
    return parse(ipam).make_client_id(kMac, "0123456789abcdef");
  };
  REQUIRE(id("{}") == bytes_of(std::string_view("\0c1/net/eth0", 12)));
  REQUIRE(id(R"({"clientId":"mac"})") == Bytes{1, 0x0a, 0x58, 0x0a, 0, 0, 1});
  const Bytes duid = id(R"({"clientId":"duid"})");
  REQUIRE(duid.size() == 1 + 4 + 2 + 16);
  REQUIRE(duid[0] == 255);
  REQUIRE(duid[6] == 4);
  REQUIRE(duid == id(R"({"clientId":"duid"})"));
  REQUIRE(id(R"({"provide":[{"option":"61","value":"own"}]})") == bytes_of("own"));
}

TEST_CASE("dhcp config: errors name the place", "[dhcp]") {
  struct Case {
    std::string ipam, text;
  };
  const auto c = GENERATE(values<Case>({
      {"null", "missing 'ipam'"},
      {R"({"request":[{"option":"foo"}]})", "ipam.request[0].option: can not parse option \"foo\""},
      {R"({"request":[{"option":"256"}]})", "ipam.request[0].option"},
      {R"({"provide":[{"option":"53","value":"x"}]})", "ipam.provide[0].option: this option is"},
      {R"({"provide":[{"value":"x"}]})", "ipam.provide[0].option: missing"},
      {R"({"clientId":"x"})", "ipam.clientId"},
      {R"({"probe":"x"})", "ipam.probe"},
      {R"({"hostName":"x"})", "ipam.hostName"},
      {R"({"priority":-1})", "ipam.priority"},
      {R"({"broadcast":"x"})", "ipam.broadcast"},
  }));
  REQUIRE_THAT(error_of([&] { parse(c.ipam); }).msg(), contains(c.text));
  const std::string value(256, 'x');
  REQUIRE_THAT(error_of([&] {
                 parse(concat(R"({"provide":[{"option":"12","value":")", value, R"("}]})"));
               }).msg(),
               contains("ipam.provide[0].value: value too long for option 12"));
  const auto relative = [] {
    static_cast<void>(socket_path(parse_conf(call_with(R"({"daemonSocketPath":"x"})"))));
  };
  REQUIRE_THAT(error_of(relative).msg(), contains("ipam.daemonSocketPath"));
}

TEST_CASE("dhcp lease files: saved, found, listed, marked, removed", "[dhcp]") {
  const cni::test::TempDir dir;
  const LeaseFiles files(dir.path("dhcp.sock"));
  REQUIRE_FALSE(files.exists());
  REQUIRE(files.list().empty());
  files.ensure_directory();
  LeaseRecord record;
  record.call = call_with("{}", "A=b");
  record.network = "net";
  record.netns = {"0123456789abcdef", 5, 0xffffffffffffffff};
  record.ifindex = 7;
  record.mac = kMac;
  record.broadcast = true;
  record.lease = *Lease::of(reply_to(Packet{}, MessageType::kAck), kServerMac, Time(5));
  record.tag = LeaseRecord::parse(record.to_json().root()).tag;
  files.save(record);
  REQUIRE(files.list() == std::vector{record.tag});
  const auto found = files.find(record.tag);
  REQUIRE(found);
  REQUIRE(found->to_json().dump() == record.to_json().dump());
  REQUIRE(found->lease == record.lease);
  REQUIRE(found->call == record.call);

  REQUIRE_FALSE(files.is_marked(record.tag));
  files.mark_for_release(record.tag);
  REQUIRE(files.is_marked(record.tag));
  REQUIRE(files.list().size() == 1);
  files.save(record);  // a new lease of the same attachment
  REQUIRE_FALSE(files.is_marked(record.tag));
  files.mark_for_release(record.tag);
  files.remove(record.tag);
  REQUIRE(dir.names() == std::vector<std::string>{"dhcp.sock.d"});
  REQUIRE_FALSE(files.find(record.tag));
  REQUIRE_FALSE(files.is_marked(record.tag));
  files.remove(record.tag);
}

TEST_CASE("dhcp lease files: a damaged one is an error that names it", "[dhcp]") {
  const cni::test::TempDir dir;
  const LeaseFiles files(dir.path("s"));
  const std::string tag = "0123456789abcdef-0123456789abcdef";
  const auto* const content = GENERATE("", "{", "{}", "[]", R"({"network":"n"})");
  const std::string path = dir.write(concat("s.d/", tag), content);
  REQUIRE_THAT(error_of([&] { static_cast<void>(files.find(tag)); }).msg(), contains(path));
}
