// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <sys/mount.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "plugins/portmap_fixture.h"
#include "support/catch.h"

using cni::test::code_of;
using cni::test::Container;
using cni::test::contains;
using cni::test::count_port_elements;
using cni::test::difference;
using cni::test::mapping;
using cni::test::masqueraded;
using cni::test::message_of;
using cni::test::Output;
using cni::test::portmap_conf;
using cni::test::records;
using cni::test::run_gc;
using cni::test::Snapshot;
using cni::test::snapshot_host;
using cni::test::TestHost;
using cni::test::tool;

namespace {

void make_run_read_only() {
  REQUIRE(::mount("none", "/run", nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
}

void make_run_writable() { REQUIRE(::mount("none", "/run", nullptr, MS_REMOUNT, nullptr) == 0); }

}  // namespace

TEST_CASE("read-only /run: all verbs work, reload does not know the attachment", "[run]") {
  const TestHost host;
  const Snapshot before = snapshot_host().only("link addr route nft");
  const Container web("web");
  web.bridge.del();
  make_run_read_only();
  const Output added = web.bridge.run("ADD");
  INFO(added.text());
  REQUIRE(added.ok());
  CHECK_THAT(added.err, contains("cnitool reload will not know this attachment"));
  CHECK_THAT(added.err, contains("EROFS"));
  CHECK(records().empty());
  CHECK(web.bridge.run("CHECK", added.json()).ok());
  // What portmap opens on a link must be closed again, which only a record makes sure.
  const auto ports = web.portmap(portmap_conf(mapping(8080, 80)));
  CHECK(code_of(ports.run("ADD")) == 5);
  CHECK(count_port_elements() == 0);
  CHECK(ports.run("DEL").ok());
  CHECK(web.bridge.run("DEL").ok());
  CHECK(masqueraded().empty());
  CHECK(run_gc(web.bridge.conf, {}).ok());
  CHECK(ports.collecting({}).run("GC").ok());
  CHECK(difference(before, snapshot_host().only("link addr route nft")) == "");
}

TEST_CASE("read-only /run: a DEL of what was made before succeeds", "[run]") {
  const TestHost host;
  const Container web("web");
  REQUIRE(records().size() == 1);
  make_run_read_only();
  const Output deleted = web.bridge.run("DEL");
  INFO(deleted.text());
  CHECK(deleted.ok());
  CHECK_THAT(deleted.err, contains("read-only"));
  CHECK(masqueraded().empty());
  // The record that stayed does no harm.
  make_run_writable();
  CHECK(run_gc(web.bridge.conf, {}).ok());
  CHECK(records().empty());
}

TEST_CASE("read-only /run: ADD with iptables refuses, its rules need the lock", "[run]") {
  const TestHost host;
  const Container web("web");
  make_run_read_only();
  const auto ports = web.portmap(portmap_conf(mapping(8080, 80), R"("backend":"iptables")"));
  const Snapshot before = snapshot_host().only("nft");
  const Output added = ports.run("ADD");
  CHECK(code_of(added) == 5);
  CHECK_THAT(message_of(added), contains("/run/cnipp/iptables-portmap.lock"));
  CHECK(difference(before, snapshot_host().only("nft")) == "");
  CHECK(ports.run("DEL").ok());
}

TEST_CASE("a lock that is a symbolic link is not followed", "[run]") {
  const TestHost host;
  const Container web("web");
  ::unlink("/run/cnipp/bridge.lock");
  REQUIRE(::symlink("/run/planted", "/run/cnipp/bridge.lock") == 0);
  const Container other("other");
  CHECK(::access("/run/planted", F_OK) != 0);
  ::unlink("/run/cnipp/iptables-portmap.lock");
  REQUIRE(::symlink("/run/planted", "/run/cnipp/iptables-portmap.lock") == 0);
  const auto ports = web.portmap(portmap_conf(mapping(8080, 80), R"("backend":"iptables")"));
  CHECK(code_of(ports.run("ADD")) == 5);
  CHECK(::access("/run/planted", F_OK) != 0);
}
