// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// DEL needs nothing but the attachment's name.
#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test
using cni::concat;

namespace {

/// A host with a neighbour: what is shared is there and stays as it is.
struct UsedHost {
  TestHost host;
  TestSandbox neighbour{"c0"}, sandbox{"c1"};
  std::string conf = plugin_conf(
      "ptp", R"("ipMasq":true,"ipam":{"type":"host-local",)"
             R"("ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"2001:db8:1::/64"}]]})");
  Snapshot before;

  UsedHost() {
    host.enable_forwarding();
    Attachment{.conf = conf, .netns = neighbour.path(), .id = "c0", .plugin = "ptp"}.add();
    before = snapshot_host().without_hints();
  }
  [[nodiscard]] Attachment attachment() const {
    return {.conf = conf, .netns = sandbox.path(), .plugin = "ptp"};
  }
  /// What differs from the time before the test's ADD, "" when nothing.
  [[nodiscard]] std::string leftovers() const {
    std::string last;
    (void)eventually(
        [&] {
          last = difference(before, snapshot_host().without_hints());
          return last.empty();
        },
        std::chrono::seconds(2));
    return last;
  }
};

std::string host_end_of(const cni::Json& result) {
  return result.root()["interfaces"].items().at(0)["name"].string();
}

}  // namespace

TEST_CASE("ptp DEL: nothing of the attachment is left", "[ptp][del]") {
  const UsedHost used;
  used.attachment().add();
  used.attachment().del();
  CHECK(used.leftovers() == "");
  CHECK_FALSE(has_link("eth0", &used.sandbox.net()));
}

TEST_CASE("ptp DEL: twice, and without any ADD", "[ptp][del]") {
  const UsedHost used;
  used.attachment().del();
  CHECK(used.leftovers() == "");
  used.attachment().add();
  used.attachment().del();
  used.attachment().del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("ptp DEL: whatever has become of CNI_NETNS", "[ptp][del]") {
  UsedHost used;
  Attachment attachment = used.attachment();
  attachment.add();
  SECTION("empty") { attachment.netns = ""; }
  SECTION("gone, the container lives on") { used.sandbox.unlink(); }
  SECTION("no namespace any more") { attachment.netns = "/proc/version"; }
  SECTION("the host's own") { attachment.netns = "/proc/self/ns/net"; }
  attachment.del();
  if (attachment.netns == used.sandbox.path()) std::erase(used.before.lines, "netns c1");
  CHECK(used.leftovers() == "");
}

TEST_CASE("ptp DEL: links that were renamed or removed", "[ptp][del]") {
  const UsedHost used;
  const Attachment attachment = used.attachment();
  const std::string link = host_end_of(attachment.add());
  SECTION("the container's end is gone") { tool("ip link del eth0", &used.sandbox.net()); }
  SECTION("the container's end has another name") {
    tool("ip link set eth0 down", &used.sandbox.net());
    tool("ip link set eth0 name net7", &used.sandbox.net());
  }
  SECTION("the host's end has another name") {
    tool(concat("ip link set ", link, " down"));
    tool(concat("ip link set ", link, " name uplink7"));
  }
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("ptp DEL: with a configuration or prevResult that ADD would refuse", "[ptp][del]") {
  const UsedHost used;
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"mtu", "\"much\""},
           {"ipMasq", "[]"},
           {"ipMasq", "false"},
           {"ipMasqBackend", "\"pf\""},
           {"dns", "\"8.8.8.8\""},
           {"runtimeConfig", "[]"},
           {"timeoutSeconds", "0"},
           {"prevResult", "\"text\""},
           {"prevResult", R"({"cniVersion":"9.9.9"})"},
           {"prevResult", R"({"cniVersion":"1.1.0","ips":[{"address":"10.9.9.9/24"}]})"}}) {
    Attachment attachment = used.attachment();
    attachment.add();
    attachment.conf = with(attachment.conf, key, cni::Json::parse(value));
    INFO(key << ": " << value);
    attachment.del();
    CHECK(used.leftovers() == "");
  }
}

TEST_CASE("ptp DEL: addresses are released after the link has gone", "[ptp][del]") {
  const UsedHost used;
  Attachment attachment = used.attachment();
  const std::string link = host_end_of(attachment.add());
  const std::string seen = concat(used.host.scratch(), "/seen");
  attachment.plugin_path =
      install_script(used.host, "host-local",
                     concat("ip -o link > ", seen, "; exec ", our_bin_dir(), "/host-local\n"));
  attachment.del();
  CHECK(cni::read_file(seen).find(link) == std::string::npos);
  CHECK(used.leftovers() == "");
}

TEST_CASE("ptp DEL: without the IPAM plugin everything else goes, and the error names it",
          "[ptp][del]") {
  const UsedHost used;
  Attachment attachment = used.attachment();
  const std::string link = host_end_of(attachment.add());
  attachment.plugin_path = "/nowhere";
  const Output output = attachment.run("DEL");
  CHECK(code_of(output) == 103);
  CHECK_THAT(message_of(output), contains("host-local"));
  CHECK_FALSE(has_link(link));
  CHECK(masqueraded().size() == 2);
  attachment.plugin_path = our_bin_dir();
  attachment.del();
  CHECK(used.leftovers() == "");
}

TEST_CASE("ptp DEL: an interface of another network is not ours to delete", "[ptp][del]") {
  const UsedHost used;
  const Attachment first = used.attachment();
  const cni::Json result = first.add();
  Attachment second = first;
  second.conf =
      plugin_conf("ptp", R"("ipam":{"type":"host-local","subnet":"10.7.0.0/24"})", "1.1.0", "net2");
  CHECK(code_of(second.run("ADD")) == 102);
  second.del();
  CHECK(first.run("CHECK", result).ok());
}
