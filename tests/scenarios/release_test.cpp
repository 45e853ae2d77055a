// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The installed binaries: they need nothing of the host but the kernel. Skipped unless the release
// preset is built.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "support/catch.h"
#include "support/host.h"
#include "support/plugin.h"
#include "support/skip.h"
#include "support/snapshot.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

namespace fs = std::filesystem;

const std::string& release_dir() {
  static const std::string dir = source_dir() + "/build/release";
  return dir;
}

void require_release() {
  if (::access((release_dir() + "/bin/bridge").c_str(), X_OK) != 0) skip("no release build");
}

constexpr const char* kConfig = R"({
  "cniVersion": "1.1.0", "name": "bare", "type": "bridge", "isDefaultGateway": true,
  "ipMasq": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.60.0.0/24"}]]}})";

void show_in(const std::string& what, const std::string& where) {
  cni::make_directories(where, 0755);
  if (::mount(what.c_str(), where.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    cni::throw_errno(concat("bind ", where));
  }
}

// chroot with the given root; PATH and all else as a plugin gets it, but empty.
Output run_in(const std::string& root, const char* verb, const std::string& netns) {
  Command command;
  command.argv = {"chroot", root, "/cni/bridge"};
  command.env = {concat("CNI_COMMAND=", verb),
                 concat("CNI_NETNS=", netns),
                 "CNI_CONTAINERID=bare",
                 "CNI_IFNAME=eth0",
                 "CNI_PATH=/cni",
                 "PATH="};
  command.input = kConfig;
  return run(command);
}

}  // namespace

TEST_CASE("release: bridge and host-local work in an empty root with an empty PATH",
          "[scenario][release]") {
  require_release();
  const TestHost host;
  const TestSandbox sandbox("bare");
  const std::string root = host.scratch() + "/root";
  show_in(release_dir() + "/bin", root + "/cni");
  show_in("/proc", root + "/proc");
  show_in("/run/netns", root + "/run/netns");

  for (const char* verb : {"VERSION", "STATUS", "ADD", "DEL"}) {
    const Output output = run_in(root, verb, sandbox.path());
    INFO(concat(verb, ": ", output.text()));
    CHECK(output.ok());
    if (std::string_view(verb) != "ADD") continue;
    CHECK(output.json().root()["ips"].items().size() == 1);
    CHECK(snapshot_network(sandbox.net()).mentions("10.60.0.2"));
  }
}

TEST_CASE("release: binaries are static, position independent, without symbols",
          "[scenario][release]") {
  require_release();
  for (const auto& file : fs::directory_iterator(release_dir() + "/bin")) {
    INFO(file.path().string());
    const std::string elf = tool(concat("readelf -hlSW ", file.path().string()));
    CHECK(elf.find("DYN (Position-Independent Executable file)") != std::string::npos);
    CHECK(elf.find("INTERP") == std::string::npos);
    CHECK(elf.find(".symtab") == std::string::npos);
    CHECK(elf.find("GNU_RELRO") != std::string::npos);
    CHECK(elf.find("GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 "
                   "0x000000 RW ") != std::string::npos);
  }
}

TEST_CASE("release: installs below DESTDIR and replaces a running plugin", "[scenario][release]") {
  require_release();
  const TestHost host;
  const std::string destination = host.scratch() + "/root";
  const auto install = [&] {
    const Output output = run({.argv = {"cmake", "--install", release_dir()},
                               .env = {concat("DESTDIR=", destination), "PATH=/usr/bin:/bin"}});
    INFO(output.text());
    REQUIRE(output.ok());
  };
  install();
  const std::string bridge = destination + "/opt/cni/bin/bridge";
  struct stat first {
  }, second{};
  REQUIRE(::stat(bridge.c_str(), &first) == 0);
  CHECK((first.st_mode & 07777U) == 0755U);
  install();
  REQUIRE(::stat(bridge.c_str(), &second) == 0);
  CHECK(first.st_ino != second.st_ino);
  for (const char* name : {"bridge", "host-local", "loopback", "cnitool"}) {
    INFO(name);
    CHECK(::access(concat(destination, "/opt/cni/bin/", name).c_str(), X_OK) == 0);
  }
}
