// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/config.h"

#include "base/error.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::CniArgs;
using cni::ErrorCode;
using cni::Json;
using cni::NetConf;

namespace {

NetConf conf(const char* document, cni::SpecVersion version = cni::kLatestVersion) {
  NetConf out;
  out.document = Json::parse(document);
  out.version = version;
  return out;
}

}  // namespace

TEST_CASE("CNI_ARGS: pairs", "[args]") {
  const CniArgs args = CniArgs::parse("IP=10.0.0.5;MAC=", {"IP", "MAC"});
  REQUIRE(args.get("IP") == "10.0.0.5");
  REQUIRE(args.get("MAC").empty());
  REQUIRE(args.get("ip").empty());
  REQUIRE(CniArgs::parse("", {}).get("IP").empty());
}

TEST_CASE("CNI_ARGS: malformed pairs are errors that show no value", "[args]") {
  const auto* text = GENERATE("PASSWORD=hunter2;", "PASSWORD=a=hunter2", ";", "PASSWORD", "IP=1;;");
  const auto error = cni::test::error_of([&] { (void)CniArgs::parse(text, {"IP", "PASSWORD"}); });
  REQUIRE(error.code() == ErrorCode::kInvalidEnvironment);
  REQUIRE(std::string(error.what()).find("hunter2") == std::string::npos);
}

TEST_CASE("CNI_ARGS: unknown keys need IgnoreUnknown, wherever it stands", "[args]") {
  const auto* ignored =
      GENERATE("IgnoreUnknown=1;SECRET=hunter2", "SECRET=hunter2;IgnoreUnknown=TRUE",
               "K8S_POD_NAMESPACE=;IgnoreUnknown=true");
  REQUIRE_NOTHROW(CniArgs::parse(ignored, {"IP"}));
  const auto* refused = GENERATE("SECRET=hunter2", "SECRET=hunter2;IgnoreUnknown=0",
                                 "IgnoreUnknown=false;SECRET=hunter2", "mac=x");
  const auto error = cni::test::error_of([&] { (void)CniArgs::parse(refused, {"IP", "MAC"}); });
  REQUIRE(error.code() == ErrorCode::kInvalidEnvironment);
  REQUIRE(error.msg().find("unknown args [") != std::string::npos);
  REQUIRE(std::string(error.what()).find("hunter2") == std::string::npos);
}

TEST_CASE("CNI_ARGS: IgnoreUnknown has two values", "[args]") {
  const auto error = cni::test::error_of([] { (void)CniArgs::parse("IgnoreUnknown=yes", {}); });
  REQUIRE(error.msg().find("\"yes\"") != std::string::npos);
}

TEST_CASE("CNI_ARGS: the lenient reader takes what it can", "[args]") {
  const CniArgs args = CniArgs::parse_leniently("X;IP=1;A=B=C;;MAC=2;");
  REQUIRE(args.get("IP") == "1");
  REQUIRE(args.get("MAC") == "2");
  REQUIRE(args.get("A").empty());
}

TEST_CASE("names: container ids and networks", "[names]") {
  const auto* good = GENERATE("a", "1", "a.b-c_d", "cnitool-20b4ff582526573bbe7d", "10.0.0.2");
  REQUIRE(cni::is_valid_name(good));
  const std::string bad = GENERATE(as<std::string>{}, "", ".a", "-a", "_a", "a/b", "../x", "a b",
                                   "a\n", "a%d", "\xc3\xa4", std::string("a\0b", 3));
  REQUIRE_FALSE(cni::is_valid_name(bad));
}

TEST_CASE("names: interfaces", "[names]") {
  const auto* good = GENERATE("a", "eth0", "eth0.100", "-x", "fifteen-bytes-x", "\xc3\xa4");
  REQUIRE_FALSE(cni::interface_name_problem(good));
  const std::string bad =
      GENERATE(as<std::string>{}, "", ".", "..", "a/b", "a:b", "a b", "a\t", "a\n", "a\xc2\xa0",
               "a\xe2\x80\xa8", "sixteen-bytes-xx", "eth%d", std::string("a\0b", 3));
  REQUIRE(cni::interface_name_problem(bad));
}

TEST_CASE("names: plugin types are files of a directory", "[names]") {
  REQUIRE(cni::is_valid_plugin_type("host-local"));
  const auto* bad = GENERATE("", ".", "..", "../x", "a/b", "/bin/sh", ".hidden");
  REQUIRE_FALSE(cni::is_valid_plugin_type(bad));
}

TEST_CASE("valid attachments: absent, null, empty and both spellings", "[gc]") {
  REQUIRE_FALSE(conf("{}").valid_attachments());
  REQUIRE(conf(R"({"cni.dev/valid-attachments": null})").valid_attachments()->empty());
  REQUIRE(conf(R"({"cni.dev/attachments": []})").valid_attachments()->empty());
  const auto list = conf(R"({"cni.dev/valid-attachments":
    [{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "eth1"}],
    "cni.dev/attachments": []})")
                        .valid_attachments();
  REQUIRE(list == std::vector<cni::Attachment>{{"c1", "eth0"}, {"c2", "eth1"}});
}

TEST_CASE("valid attachments: what is no attachment is an error", "[gc]") {
  const auto* document =
      GENERATE(R"({"cni.dev/valid-attachments": {}})", R"({"cni.dev/valid-attachments": [null]})",
               R"({"cni.dev/valid-attachments": [{"containerID": "c1"}]})",
               R"({"cni.dev/valid-attachments": [{"containerID": 1, "ifname": "a"}]})",
               R"({"cni.dev/valid-attachments": "x"})");
  REQUIRE_THROWS_AS(conf(document).valid_attachments(), cni::Error);
}

TEST_CASE("prevResult: strict for CHECK, lenient for DEL", "[config]") {
  REQUIRE_FALSE(conf("{}").prev_result());
  REQUIRE_FALSE(conf(R"({"prevResult": null})").prev_result());
  const NetConf good = conf(R"({"prevResult": {"ips": [{"address": "10.0.0.2/24"}]}})");
  REQUIRE(good.prev_result()->ips.size() == 1);
  const auto* text = GENERATE(R"({"prevResult": {"cniVersion": "9.9.9"}})", R"({"prevResult": 5})",
                              R"({"prevResult": {"ips": [{"address": "x"}]}})",
                              R"({"prevResult": {"ips": [null]}})");
  REQUIRE_THROWS_AS(conf(text).prev_result(), cni::Error);
  REQUIRE_FALSE(conf(text).prev_result_if_usable());
}
