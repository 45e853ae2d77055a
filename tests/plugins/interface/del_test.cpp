// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// DEL needs nothing but the attachment's name, and GC the names that are valid.
#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/interface/subject.h"
#include "support/catch.h"
#include "support/command.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

TEST_CASE("interface DEL: nothing of the attachment is left", "[interface][del][each-kernel]") {
  const SubjectHost on;
  on.attachment().del();  // without any ADD
  CHECK(on.leftovers() == "");
  on.attachment().add();
  on.attachment().del();
  CHECK(on.leftovers() == "");
  on.attachment().del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface DEL: whatever has become of CNI_NETNS", "[interface][del]") {
  const SubjectHost on;
  Attachment attachment = on.attachment();
  attachment.add();
  SECTION("empty") { attachment.netns = ""; }
  if (kSubject.found_from_host) {
    SECTION("no namespace any more") { attachment.netns = "/proc/version"; }
    SECTION("the host's own") { attachment.netns = "/proc/self/ns/net"; }
  }
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface DEL: the container died with its namespace", "[interface][del]") {
  SubjectHost on;
  TestSandbox dying("dying");
  Attachment attachment = on.attachment();
  attachment.id = "c2";
  attachment.netns = dying.path();
  attachment.add();
  TestSandbox::destroy(std::move(dying));
  SECTION("the path is given") {}
  SECTION("the path is empty") { attachment.netns = ""; }
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface DEL: an interface that was renamed or removed", "[interface][del]") {
  const SubjectHost on;
  const Attachment attachment = on.attachment();
  attachment.add();
  SECTION("removed") { tool("ip link del eth0", on.inside()); }
  SECTION("renamed") {
    tool("ip link set eth0 down", on.inside());
    tool("ip link set eth0 name net7", on.inside());
  }
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface DEL: with a configuration or prevResult that ADD would refuse",
          "[interface][del]") {
  const SubjectHost on;
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"mtu", "\"much\""},
           {"master", "[]"},
           {"master", "\"missing\""},
           {"mode", "7"},
           {"dns", "\"8.8.8.8\""},
           {"runtimeConfig", "[]"},
           {"timeoutSeconds", "0"},
           {"prevResult", "\"text\""},
           {"prevResult", R"({"cniVersion":"9.9.9"})"},
           {"prevResult", R"({"cniVersion":"1.1.0","ips":[{"address":"10.9.9.9/24"}]})"}}) {
    Attachment attachment = on.attachment();
    attachment.add();
    attachment.conf = with(attachment.conf, key, cni::Json::parse(value));
    attachment.args = "no pair";
    INFO(key << ": " << value);
    attachment.del();
    CHECK(on.leftovers() == "");
  }
}

TEST_CASE("interface DEL: addresses are released after the link has gone", "[interface][del]") {
  const SubjectHost on;
  Attachment attachment = on.attachment();
  attachment.add();
  const std::string seen = concat(on.host.scratch(), "/seen");
  attachment.plugin_path =
      install_script(on.host, "host-local",
                     concat("nsenter --net=", on.sandbox.path(), " ip -o link > ", seen, "; exec ",
                            our_bin_dir(), "/host-local\n"));
  attachment.del();
  CHECK(cni::read_file(seen).find("eth0") == std::string::npos);
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface DEL: without the IPAM plugin everything else goes, and the error names it",
          "[interface][del]") {
  const SubjectHost on;
  Attachment attachment = on.attachment();
  attachment.add();
  attachment.plugin_path = "/nowhere";
  const Output output = attachment.run("DEL");
  CHECK(code_of(output) == 103);
  CHECK_THAT(message_of(output), contains("host-local"));
  CHECK_FALSE(has_link("eth0", on.inside()));
  attachment.plugin_path = our_bin_dir();
  attachment.del();
  CHECK(on.leftovers() == "");
}

TEST_CASE("interface GC: keeps the valid attachments", "[interface][gc]") {
  const SubjectHost on;
  on.attachment().add();
  const Snapshot both = snapshot_host().without_hints();
  SECTION("no list takes nothing") {
    REQUIRE(on.attachment().run("GC").ok());
    CHECK(difference(both, snapshot_host().without_hints()) == "");
  }
  SECTION("both are valid") {
    REQUIRE(run_gc(subject_conf(), {"c0", "c1"}).ok());
    CHECK(difference(both, snapshot_host().without_hints()) == "");
  }
  SECTION("one is valid") {
    REQUIRE(run_gc(subject_conf(), {"c0", "unknown"}).ok());
    CHECK(on.leftovers() == "");
    CHECK(has_link("eth0", &on.neighbour.net()));
  }
  SECTION("none is valid") {
    REQUIRE(run_gc(subject_conf(), {}).ok());
    CHECK_FALSE(has_link("eth0", on.inside()));
    CHECK_FALSE(has_link("eth0", &on.neighbour.net()));
    CHECK(leases_of("net1").empty());
    CHECK(records().empty());
  }
  SECTION("of another network") {
    REQUIRE(run_gc(subject_conf("1.1.0", "net2"), {}).ok());
    CHECK(has_link("eth0", on.inside()));
    CHECK(leases_of("net1").size() == 4);
  }
}
