// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Podman with its CNI backend over our binaries: what its users do every day.
#include <filesystem>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/skip.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

void require_podman() {
  for (const char* program : {"podman", "crun", "conmon", "busybox"}) {
    if (!run({.argv = {"sh", "-c", concat("command -v ", program)}}).ok()) {
      skip(concat(program, " is not installed"));
    }
  }
  for (const char* plugin : {"bridge", "host-local", "portmap", "firewall", "tuning"}) {
    if (!std::filesystem::exists(concat(our_bin_dir(), "/", plugin))) {
      skip(concat("there is no plugin ", plugin));
    }
  }
}

/// Podman with state of its own on the test host, and an image "box" with busybox in it.
class Podman {
 public:
  explicit Podman(const TestHost& host) : dir_(concat(host.scratch(), "/podman")) {
    cni::make_directories(concat(dir_, "/image/bin"), 0755);
    cni::make_directories(concat(dir_, "/net.d"), 0755);
    cni::write_file_atomically(
        concat(dir_, "/containers.conf"),
        concat("[network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [\"", our_bin_dir(),
               "\"]\nnetwork_config_dir = \"", dir_,
               "/net.d\"\n[engine]\ncgroup_manager = \"cgroupfs\"\n"
               "events_logger = \"file\"\nruntime = \"crun\"\n"
               "[containers]\ncgroups = \"disabled\"\n"
               "default_ulimits = [\"nofile=512:512\", \"nproc=512:512\"]\n"),
        0644);
    const Output backend = call({"info", "-f", "{{.Host.NetworkBackend}}"});
    if (backend.out != "cni\n") skip(concat("no podman with a CNI backend: ", backend.text()));
    // The test host's /sys is fresh; crun asks for the control groups.
    tool("mount -t cgroup2 none /sys/fs/cgroup");
    const std::string image = concat(dir_, "/image");
    (void)run({.argv = {"sh", "-c", concat("cp \"$(command -v busybox)\" ", image, "/bin")}});
    tool(concat("tar -C ", image, " -cf ", dir_, "/image.tar ."));
    (*this)({"import", concat(dir_, "/image.tar"), "localhost/box"});
  }
  Podman(const Podman&) = delete;
  Podman& operator=(const Podman&) = delete;
  ~Podman() { (void)call({"rm", "-fa", "-t", "0"}); }

  [[nodiscard]] Output call(const std::vector<std::string>& arguments) const {
    std::vector<std::string> argv{"env",
                                  concat("CONTAINERS_CONF=", dir_, "/containers.conf"),
                                  "podman",
                                  "--root",
                                  concat(dir_, "/storage"),
                                  "--runroot",
                                  concat(dir_, "/run"),
                                  "--storage-driver",
                                  "vfs"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run({.argv = argv});
  }
  /// Must succeed; the output without the last newline.
  std::string operator()(const std::vector<std::string>& arguments) const {
    Output output = call(arguments);
    INFO(output.text());
    REQUIRE(output.ok());
    if (output.out.ends_with("\n")) output.out.pop_back();
    return output.out;
  }

  /// A container of this name that sleeps.
  void start(const std::string& name, const std::vector<std::string>& options = {}) const {
    std::vector<std::string> arguments{"run", "-d", "--name", name};
    arguments.insert(arguments.end(), options.begin(), options.end());
    for (const char* word : {"localhost/box", "/bin/busybox", "sleep", "3600"}) {
      arguments.emplace_back(word);
    }
    (*this)(arguments);
  }
  [[nodiscard]] TestNamespace net_of(const std::string& name) const {
    return TestNamespace::open(
        concat("/proc/", (*this)({"inspect", "-f", "{{.State.Pid}}", name}), "/ns/net"));
  }
  [[nodiscard]] std::string address_of(const std::string& name, const std::string& network) const {
    return (*this)({"inspect", "-f",
                    concat("{{(index .NetworkSettings.Networks \"", network, "\").IPAddress}}"),
                    name});
  }

 private:
  std::string dir_;
};

bool has_veth() { return tool("ip -br link show type veth").find("veth") != std::string::npos; }

}  // namespace

TEST_CASE("podman: the default network, two containers and a published port",
          "[scenario][podman]") {
  require_podman();
  const TestHost host;
  const OutsideHost outside(host);
  host.enable_forwarding();
  const Podman podman(host);
  podman.start("one", {"-p", "8080:8080"});
  podman.start("two");
  const std::string first = podman.address_of("one", "podman");
  const std::string second = podman.address_of("two", "podman");
  CHECK(leases_of("podman") == std::vector<std::string>{first, second});
  podman({"exec", "two", "/bin/busybox", "ping", "-c", "1", "-W", "5", first});
  podman({"exec", "one", "/bin/busybox", "ping", "-c", "1", "-W", "5", second});
  const TestNamespace one = podman.net_of("one");
  const TestNamespace two = podman.net_of("two");
  CHECK(tcp_peer_seen({two, outside.net(), OutsideHost::kV4}) == std::string(OutsideHost::kHostV4));
  CHECK(tcp_peer_seen({outside.net(), one, OutsideHost::kHostV4}) == std::string(OutsideHost::kV4));
  CHECK(tcp_peer_seen({host.net(), one, "127.0.0.1"}).has_value());
  CHECK(tcp_peer_seen({two, one, OutsideHost::kHostV4}).has_value());
  CHECK(tcp_peer_seen({one, one, OutsideHost::kHostV4}).has_value());

  podman({"network", "reload", "--all"});
  CHECK(tcp_peer_seen({outside.net(), one, OutsideHost::kHostV4}) == std::string(OutsideHost::kV4));

  podman({"stop", "-t", "0", "one"});
  CHECK_FALSE(tcp_peer_seen(
                  {outside.net(), two, OutsideHost::kHostV4, 8080, std::chrono::milliseconds(300)})
                  .has_value());
  podman({"start", "one"});
  const TestNamespace again = podman.net_of("one");
  CHECK(tcp_peer_seen({outside.net(), again, OutsideHost::kHostV4}).has_value());
  podman({"rm", "-f", "-t", "0", "one", "two"});
  CHECK(leases_of("podman").empty());
  CHECK(records().empty());
  CHECK(eventually([] { return !has_veth(); }));
}

TEST_CASE("podman: a network of one's own", "[scenario][podman]") {
  require_podman();
  const TestHost host;
  const OutsideHost outside(host);
  host.enable_forwarding();
  const Podman podman(host);
  podman(
      {"network", "create", "--subnet", "10.90.0.0/24", "--subnet", "fd90::/64", "--ipv6", "own"});
  podman.start("one", {"--network", "own", "--ip", "10.90.0.77", "--mac-address",
                       "02:00:00:00:00:77", "-p", "8080:8080"});
  podman.start("two", {"--network", "own"});
  CHECK(podman.address_of("one", "own") == "10.90.0.77");
  const TestNamespace one = podman.net_of("one");
  const TestNamespace two = podman.net_of("two");
  CHECK_THAT(tool("ip -br link show eth0", &one), Catch::Contains("02:00:00:00:00:77"));
  CHECK(can_ping(two, "10.90.0.77"));
  for (const std::string_view address : {OutsideHost::kHostV4, OutsideHost::kHostV6}) {
    INFO(address);
    CHECK(tcp_peer_seen({outside.net(), one, address}).has_value());
  }
  // Onto a second network while it runs, and off again.
  podman({"network", "create", "--subnet", "10.91.0.0/24", "other"});
  podman({"network", "connect", "other", "two"});
  CHECK(can_ping(two, "10.91.0.1"));
  podman({"network", "disconnect", "other", "two"});
  CHECK_FALSE(has_link("eth1", &two));
  podman({"rm", "-f", "-t", "0", "one", "two"});
  podman({"network", "rm", "own", "other"});
  for (const char* network : {"own", "other"}) CHECK(leases_of(network).empty());
  CHECK(records().empty());
  CHECK(eventually([] { return !has_veth(); }));
}
