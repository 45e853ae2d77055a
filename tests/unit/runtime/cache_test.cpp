// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/cache.h"

#include <sys/stat.h>

#include <array>

#include "base/fd.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temp_dir.h"

using cni::Attachment;
using cni::CachedAttachment;
using cni::Json;
using cni::ResultCache;
using cni::test::TempDir;

namespace {

const Attachment kAttachment{"c1", "eth0"};

CachedAttachment entry() {
  CachedAttachment out;
  out.network = "net";
  out.args = {"c1",
              "/run/netns/c1",
              "eth0",
              {{"K", "V"}, {"L", ""}},
              Json::parse(R"({"mac": "0a:00:00:00:00:01"})")};
  out.config = "{\"name\": \"net\"}\n";
  out.result = Json::parse(R"({"cniVersion": "1.0.0", "ips": []})");
  return out;
}

/// As the reference writes it.
constexpr const char* kReference =
    R"({"kind":"cniCacheV1","containerId":"c1","config":"eyJuYW1lIjogIm5ldCJ9Cg==","ifName":"eth0",)"
    R"("networkName":"net","netns":"/run/netns/c1","cniArgs":[["K","V"]],)"
    R"("capabilityArgs":{"portMappings":[]},"result":{"cniVersion":"0.4.0","dns":{}}})";

}  // namespace

TEST_CASE("cache: what was stored is found", "[cache]") {
  const TempDir dir;
  const ResultCache cache(dir.path("cni"));
  REQUIRE_FALSE(cache.contains("net", kAttachment));
  REQUIRE_FALSE(cache.find("net", kAttachment));
  cache.store(entry());
  REQUIRE(cache.contains("net", kAttachment));
  const auto found = cache.find("net", kAttachment);
  REQUIRE(found->network == "net");
  REQUIRE(found->args.attachment() == kAttachment);
  REQUIRE(found->args.netns == "/run/netns/c1");
  REQUIRE(found->args.args == entry().args.args);
  REQUIRE(found->args.capability_args.dump() == entry().args.capability_args.dump());
  REQUIRE(found->config == entry().config);
  REQUIRE(found->result.dump() == entry().result.dump());
  cache.remove_if_exists("net", kAttachment);
  cache.remove_if_exists("net", kAttachment);
  REQUIRE_FALSE(cache.find("net", kAttachment));
}

TEST_CASE("cache: the file is the reference's", "[cache]") {
  const TempDir dir;
  ResultCache(dir.path("cni")).store(entry());
  const std::string path = dir.path("cni/results/net-c1-eth0");
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  REQUIRE((info.st_mode & 07777) == 0600);
  REQUIRE(::stat(dir.path("cni/results").c_str(), &info) == 0);
  REQUIRE((info.st_mode & 07777) == 0700);
  REQUIRE(cni::read_file(path) ==
          R"({"capabilityArgs":{"mac":"0a:00:00:00:00:01"},"cniArgs":[["K","V"],["L",""]],)"
          R"("config":"eyJuYW1lIjogIm5ldCJ9Cg==","containerId":"c1","ifName":"eth0",)"
          R"("kind":"cniCacheV1","netns":"/run/netns/c1","networkName":"net",)"
          R"("result":{"cniVersion":"1.0.0","ips":[]}})");
}

TEST_CASE("cache: empty members are left out", "[cache]") {
  const TempDir dir;
  CachedAttachment bare;
  bare.network = "net";
  bare.args.container_id = "c1";
  bare.args.ifname = "eth0";
  ResultCache(dir.path()).store(bare);
  REQUIRE(cni::read_file(dir.path("results/net-c1-eth0")) ==
          R"({"config":"","containerId":"c1","ifName":"eth0","kind":"cniCacheV1",)"
          R"("networkName":"net"})");
}

TEST_CASE("cache: reads the reference's files", "[cache]") {
  const TempDir dir;
  dir.write("results/net-c1-eth0", kReference);
  const auto found = ResultCache(dir.path()).find("net", kAttachment);
  REQUIRE(found->config == "{\"name\": \"net\"}\n");
  REQUIRE(found->args.args.size() == 1);
  REQUIRE(found->result.root()["cniVersion"].string() == "0.4.0");
  REQUIRE(ResultCache(dir.path()).list().size() == 1);
}

TEST_CASE("cache: an old bare result is a result", "[cache]") {
  const TempDir dir;
  dir.write("results/net-c1-eth0", R"({"cniVersion": "0.3.1", "ips": []})");
  const ResultCache cache(dir.path());
  REQUIRE(cache.find("net", kAttachment)->result.root()["cniVersion"].string() == "0.3.1");
  REQUIRE(cache.list().empty());
}

TEST_CASE("cache: a broken file is an error that names it, and no attachment", "[cache]") {
  const TempDir dir;
  const auto* content = GENERATE("", "{", "[]", R"({"kind": "cniCacheV1", "cniArgs": [["x"]]})",
                                 R"({"kind": "cniCacheV1", "capabilityArgs": 5})");
  const std::string path = dir.write("results/net-c1-eth0", content);
  const ResultCache cache(dir.path());
  const auto error = cni::test::error_of([&] { (void)cache.find("net", kAttachment); });
  REQUIRE(error.code() == cni::ErrorCode::kDecode);
  REQUIRE(error.msg().find(path) != std::string::npos);
  REQUIRE(cache.list().empty());
  REQUIRE(cache.contains("net", kAttachment));
}

TEST_CASE("cache: the list is sorted and passes over what is not in its place", "[cache]") {
  const TempDir dir;
  const ResultCache cache(dir.path());
  REQUIRE(cache.list().empty());
  for (const char* id : {"c2", "c1", "c3"}) {
    CachedAttachment item = entry();
    item.args.container_id = id;
    cache.store(item);
  }
  dir.write("results/net-c1-eth0.bak", cni::read_file(dir.path("results/net-c1-eth0")));
  dir.write("results/.net-c1-eth0.12.tmp", cni::read_file(dir.path("results/net-c1-eth0")));
  dir.write("results/directory/x", "");
  const auto list = cache.list();
  REQUIRE(list.size() == 3);
  REQUIRE(list[0].args.container_id == "c1");
  REQUIRE(list[2].args.container_id == "c3");
}

TEST_CASE("cache: names never become paths", "[cache]") {
  const TempDir dir;
  dir.write("secret", R"({"cniVersion": "1.0.0"})");
  const ResultCache cache(dir.path());
  for (const auto& [network, id, ifname] :
       std::vector<std::array<std::string, 3>>{{"../secret", "c1", "eth0"},
                                               {"net", "../../secret", "eth0"},
                                               {"net", "c1", "../x"},
                                               {"", "c1", "eth0"},
                                               {"net", "", "eth0"},
                                               {"net", "c1", ""}}) {
    const Attachment attachment{id, ifname};
    REQUIRE_THROWS_AS(cache.find(network, attachment), cni::Error);
    REQUIRE_THROWS_AS(cache.contains(network, attachment), cni::Error);
    REQUIRE_THROWS_AS(cache.remove_if_exists(network, attachment), cni::Error);
    CachedAttachment item = entry();
    item.network = network;
    item.args.container_id = id;
    item.args.ifname = ifname;
    REQUIRE_THROWS_AS(cache.store(item), cni::Error);
  }
  REQUIRE(dir.names() == std::vector<std::string>{"secret"});
}

TEST_CASE("cache: a name that does not fit is refused in advance", "[cache]") {
  const TempDir dir;
  const ResultCache cache(dir.path());
  CachedAttachment item = entry();
  item.args.container_id = std::string(255 - 9, 'c');  // "net-" and "-eth0"
  REQUIRE_NOTHROW(cache.require_storable("net", item.args.attachment()));
  cache.store(item);
  REQUIRE(cache.find("net", item.args.attachment()));
  item.args.container_id += 'c';
  REQUIRE_THROWS_AS(cache.require_storable("net", item.args.attachment()), cni::Error);
}
