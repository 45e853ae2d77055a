// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/chained.h"

#include "support/catch.h"
#include "support/error_of.h"

using cni::attachment_addresses;
using cni::IpNet;
using cni::Json;
using cni::parse_result;
using cni::Request;

namespace {

cni::Result result_of(std::string_view text) {
  const Json json = Json::parse(text);
  return parse_result(json.root(), cni::SpecVersion::k110);
}

}  // namespace

TEST_CASE("chained plugin: the attachment's addresses are its interface's and those of none",
          "[chained]") {
  const cni::Result result = result_of(R"({"cniVersion":"1.1.0",
    "interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/run/netns/a"},
                  {"name":"eth0"},{"name":"eth1","sandbox":"/run/netns/a"}],
    "ips":[{"interface":1,"address":"10.0.0.2/24"},{"interface":2,"address":"10.0.0.3/24"},
           {"interface":3,"address":"10.0.0.4/24"},{"address":"10.0.0.5/24"},
           {"interface":9,"address":"10.0.0.6/24"},{"interface":1,"address":"10.0.0.2/24"}]})");
  const std::vector<IpNet> wanted{IpNet::parse("10.0.0.2/24"), IpNet::parse("10.0.0.5/24"),
                                  IpNet::parse("10.0.0.6/24")};
  CHECK(attachment_addresses(result, "eth0") == wanted);
}

TEST_CASE("chained plugin: without prevResult the error says where the plugin belongs",
          "[chained]") {
  Request request;
  request.conf.document = Json::parse(R"({"prevResult":null})");
  const auto error = cni::test::error_of([&] { (void)required_prev_result(request, "portmap"); });
  CHECK(error.code() == cni::ErrorCode::kInvalidConfig);
  CHECK(error.msg() == "prevResult: missing");
  CHECK_THAT(error.details(), Catch::Contains("portmap must come after"));
}
