// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A verb may be killed at any moment. One DEL afterwards leaves nothing of the attachment; what is
// shared (bridge, gateway addresses) may stay. strace kills at the n-th system call.
#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/skip.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary under test

namespace {

constexpr std::size_t kSampled = 11;  // every so many calls, unless CNIPP_SWEEP=full

std::size_t step() { return sweep_is_full() ? 1 : kSampled; }

/// strace counts each system call by its name.
struct Point {
  std::string call;
  int occurrence = 0;
  [[nodiscard]] std::string injection() const {
    return cni::concat("inject=", call, ":signal=KILL:when=", occurrence);
  }
};

Output run_under_strace(Command command, const std::vector<std::string>& options) {
  command.argv.insert(command.argv.begin(), options.begin(), options.end());
  command.argv.insert(command.argv.begin(), "strace");
  return run(command);
}

std::vector<Point> parse_trace(const std::string& trace) {
  std::vector<Point> points;
  std::map<std::string, int> seen;
  std::istringstream lines(trace);
  for (std::string line; std::getline(lines, line);) {
    const auto end = line.find('(');
    if (end == std::string::npos || line.find_first_of(" +-<") < end) continue;
    const std::string call = line.substr(0, end);
    points.push_back({call, ++seen[call]});
  }
  return points;
}

/// Every system call that the command makes, in order.
std::vector<Point> trace(const TestHost& host, const Command& command) {
  const std::string log = cni::concat(host.scratch(), "/trace");
  const Output output = run_under_strace(command, {"-o", log});
  if (!output.ok()) skip("strace is missing, or may not trace here: " + output.text());
  return parse_trace(cni::read_file(log));
}

bool killed_at(const Command& command, const Point& point) {
  return run_under_strace(command, {"-o", "/dev/null", "-e", point.injection()}).status.signal == 9;
}

struct Swept {
  std::size_t calls = 0, points = 0, leftovers = 0;

  /// Visits every step()-th point; `visit` returns what was left.
  template <typename Visit>
  void over(const std::vector<Point>& all, Visit visit) {
    calls = all.size();
    for (std::size_t i = 0; i < all.size(); i += step()) {
      const std::string problem = visit(all[i]);
      INFO("killed at call " << i << ", " << all[i].call << " #" << all[i].occurrence);
      CHECK(problem == "");
      ++points;
      if (!problem.empty()) ++leftovers;
    }
  }
  void report(const char* what) const {
    WARN(what << ": killed at " << points << " of " << calls << " system calls, leftovers at "
              << leftovers);
    CHECK(calls > 100);
  }
};

/// A host with a neighbour on the bridge, so that what is shared does not change.
struct SweepHost {
  TestHost host;
  TestSandbox neighbour{"c0"}, sandbox{"c1"};
  std::string conf;
  Attachment attachment;
  Snapshot host_before, container_before;

  explicit SweepHost(std::string_view more = R"("macspoofchk":true)",
                     const std::string& plugin = "bridge")
      : conf(plugin_conf(plugin, cni::concat(more, ",", kDualStack))),
        attachment{.conf = conf, .netns = sandbox.path(), .plugin = plugin} {
    host.enable_forwarding();
    host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
    Attachment{.conf = conf, .netns = neighbour.path(), .id = "c0", .plugin = plugin}.add();
    attachment.add();
    attachment.del();
    wait_for_addresses();
    host_before = without_hints(snapshot_host());
    container_before = snapshot_network(sandbox.net());
  }

  [[nodiscard]] std::string leftovers() const {
    std::string problem;
    for (const std::string& process : processes_here()) {
      problem += cni::concat("process ", process, "\n");
    }
    if (problem.empty()) problem = difference(host_before, without_hints(snapshot_host()));
    if (problem.empty()) problem = difference(container_before, snapshot_network(sandbox.net()));
    return problem;
  }
  /// One call, and then nothing is left. Returns what is.
  [[nodiscard]] std::string clean_up(const Attachment& with, std::string_view verb) const {
    const Output output = with.run(verb);
    return cni::concat(output.ok() ? "" : cni::concat(verb, ": ", output.text()), leftovers());
  }
};

}  // namespace

TEST_CASE("kill sweep: ADD killed at any system call, then one DEL", "[sweep]") {
  const SweepHost on;
  const Command add = on.attachment.command("ADD");
  const auto points = trace(on.host, add);
  on.attachment.del();
  Swept swept;
  swept.over(points, [&](const Point& point) {
    (void)killed_at(add, point);
    return on.clean_up(on.attachment, "DEL");
  });
  swept.report("ADD");
}

TEST_CASE("kill sweep: ADD with iptables killed at any system call, then one DEL", "[sweep]") {
  if (!run({.argv = {"iptables-save", "-t", "nat"}}).ok()) skip("iptables does not work here");
  const SweepHost on(R"("ipMasqBackend":"iptables")");
  const Command add = on.attachment.command("ADD");
  const auto points = trace(on.host, add);
  on.attachment.del();
  Swept swept;
  swept.over(points, [&](const Point& point) {
    (void)killed_at(add, point);
    return on.clean_up(on.attachment, "DEL");
  });
  swept.report("ADD with iptables");
}

TEST_CASE("kill sweep: ptp's ADD and DEL killed at any system call, then one DEL", "[sweep]") {
  const SweepHost on(R"("mtu":1400)", "ptp");
  const Command add = on.attachment.command("ADD"), del = on.attachment.command("DEL");
  const auto adding = trace(on.host, add), deleting = trace(on.host, del);
  Swept swept;
  swept.over(adding, [&](const Point& point) {
    (void)killed_at(add, point);
    return on.clean_up(on.attachment, "DEL");
  });
  swept.report("ptp ADD");
  swept.over(deleting, [&](const Point& point) {
    on.attachment.add();
    (void)killed_at(del, point);
    return on.clean_up(on.attachment, "DEL");
  });
  swept.report("ptp DEL");
}

TEST_CASE("kill sweep: an ADD that makes the bridge, killed, then one DEL and GC", "[sweep]") {
  const TestHost host;
  host.enable_forwarding();
  host.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  const TestSandbox sandbox("c1");
  const Attachment attachment{.conf = bridge_conf(kDualStack), .netns = sandbox.path()};
  const Command add = attachment.command("ADD");
  const auto points = trace(host, add);
  attachment.del();
  REQUIRE(run_gc(attachment.conf, {}).ok());
  const Snapshot before = without_hints(snapshot_host());
  Swept swept;
  swept.over(points, [&](const Point& point) {
    (void)killed_at(add, point);
    CHECK(attachment.run("DEL").ok());
    CHECK(run_gc(attachment.conf, {}).ok());
    // Killed before it could label the bridge, ADD left one that GC cannot tell from a user's: the
    // next ADD adopts it.
    if (has_link("cni0")) {
      CHECK(ports_of("cni0").empty());
      CHECK(link_of("cni0").root()["ifalias"].string_or("") == "");
      tool("ip link del cni0");
    }
    return difference(before, without_hints(snapshot_host()));
  });
  swept.report("ADD on an empty host");
}

TEST_CASE("kill sweep: DEL killed at any system call, then one DEL", "[sweep]") {
  const SweepHost on;
  const Command del = on.attachment.command("DEL");
  on.attachment.add();
  const auto points = trace(on.host, del);
  Swept swept;
  swept.over(points, [&](const Point& point) {
    on.attachment.add();
    (void)killed_at(del, point);
    return on.clean_up(on.attachment, "DEL");
  });
  swept.report("DEL");
}

TEST_CASE("kill sweep: GC killed at any system call, then one GC", "[sweep]") {
  const SweepHost on;
  cni::Json valid = cni::Json::array();
  valid.push(cni::Json::parse(R"({"containerID":"c0","ifname":"eth0"})"));
  Attachment gc = on.attachment;
  gc.conf = with(gc.conf, "cni.dev/valid-attachments", valid);
  on.attachment.add();
  const auto points = trace(on.host, gc.command("GC"));
  Swept swept;
  swept.over(points, [&](const Point& point) {
    on.attachment.add();
    (void)killed_at(gc.command("GC"), point);
    return on.clean_up(gc, "GC");
  });
  swept.report("GC");
}

TEST_CASE("kill sweep: the IPAM plugin killed at any system call", "[sweep]") {
  SweepHost on;
  const std::string injection = cni::concat(on.host.scratch(), "/injection"),
                    log = cni::concat(on.host.scratch(), "/ipam-trace");
  on.attachment.plugin_path =
      install_script(on.host, "host-local",
                     cni::concat("[ $CNI_COMMAND = ADD ] && [ -f ", injection, " ] || exec ",
                                 our_bin_dir(), "/host-local\nexec strace -o ", log, " -e \"$(cat ",
                                 injection, ")\" ", our_bin_dir(), "/host-local\n"));
  const auto add_with = [&](const std::string& option) {
    cni::write_file_atomically(injection, option, 0644);
    const Output output = on.attachment.run("ADD");
    std::filesystem::remove(injection);
    return output;
  };
  const Output traced = add_with("trace=all");
  if (!traced.ok()) skip("strace is missing, or may not trace here: " + traced.text());
  const auto points = parse_trace(cni::read_file(log));
  on.attachment.del();
  Swept swept;
  swept.over(points, [&](const Point& point) {
    // ADD cleans up by itself.
    if (!add_with(point.injection()).ok()) {
      if (std::string problem = on.leftovers(); !problem.empty()) return problem;
    }
    return on.clean_up(on.attachment, "DEL");
  });
  swept.report("host-local ADD");
}
