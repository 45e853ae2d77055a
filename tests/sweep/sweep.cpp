// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "sweep/sweep.h"

#include <filesystem>
#include <map>
#include <sstream>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "support/command.h"
#include "support/skip.h"

namespace cni::test {
namespace {

Json valid_attachments(const std::vector<std::string>& ids) {
  Json valid = Json::array();
  for (const std::string& id : ids) {
    Json one = Json::object();
    one.set("containerID", id).set("ifname", "eth0");
    valid.push(std::move(one));
  }
  return valid;
}

void require_strace() {
  const Output output = run({.argv = {"strace", "-o", "/dev/null", "-e", "trace=none", "true"}});
  if (!output.ok()) skip("strace is missing, or may not trace here");
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

}  // namespace

std::string Point::injection(std::string_view what) const {
  return concat("inject=", call, ":", what, ":when=", occurrence);
}

Ground::Ground(std::string_view more, Bridge bridge, const std::string& plugin) {
  const std::string conf = plugin_conf(plugin, concat(more, more.empty() ? "" : ",", kDualStack));
  attachment_ = {.conf = conf, .netns = sandbox_.path(), .plugin = plugin};
  host_.enable_forwarding();
  host_.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  if (bridge == Bridge::kInUse) {
    valid_ = {"c0"};
    Attachment{.conf = conf, .netns = neighbour_.path(), .id = "c0", .plugin = plugin}.add();
  }
  // What a first ADD leaves for good: directories, lock files.
  leases_without_ = leases_of().size();
  const Json result = attachment_.add();
  const std::size_t host_end = plugin == "bridge" ? 1 : 0;
  veth_ = result.root()["interfaces"].items().at(host_end)["name"].string();
  leases_with_ = leases_of().size();
  attachment_.del();
  if (!caller("GC").run("GC").ok()) throw Error(ErrorCode::kInternal, "GC fails");
  wait_for_addresses();
  host_before_ = without_hints(snapshot_host());
  container_before_ = snapshot_network(sandbox_.net());
}

Attachment Ground::caller(std::string_view verb) const {
  Attachment out = attachment_;
  if (verb == "GC") {
    out.conf = with(out.conf, "cni.dev/valid-attachments", valid_attachments(valid_));
  }
  return out;
}

void Ground::prepare(std::string_view verb) const {
  if (verb != "ADD") attachment_.add();
}

std::string Ground::leftovers() const {
  std::string problem;
  for (const std::string& process : processes_here()) problem += concat("process ", process, "\n");
  if (problem.empty()) problem = difference(host_before_, without_hints(snapshot_host()));
  if (problem.empty()) problem = difference(container_before_, snapshot_network(sandbox_.net()));
  return problem;
}

std::string Ground::clean_up(const std::vector<std::string>& verbs) const {
  std::string problem;
  for (const std::string& verb : verbs) {
    const Output output = caller(verb).run(verb);
    if (!output.ok()) problem += concat(verb, ": ", output.text(), "\n");
  }
  return problem + leftovers();
}

bool Ground::released_too_early() const {
  return has_link(veth_) && leases_of().size() < leases_with_;
}

Victim::Victim(Ground& on, std::string verb, Program program)
    : on_(on),
      verb_(std::move(verb)),
      program_(program),
      log_(concat(on.host().scratch(), "/strace.log")),
      option_file_(concat(on.host().scratch(), "/strace.option")) {
  require_strace();
  if (program == Program::kPlugin) return;
  const std::string real = concat(our_bin_dir(), "/host-local");
  on.set_plugin_path(install_script(
      on.host(), "host-local",
      concat("[ $CNI_COMMAND = ", verb_, " ] && [ -f ", option_file_, " ] || exec ", real,
             "\nexec strace -o ", log_, " -e \"$(cat ", option_file_, ")\" ", real, "\n")));
}

Output Victim::run(const std::string& option) const {
  std::filesystem::remove(log_);
  const Attachment caller = on_.caller(verb_);
  if (program_ == Program::kPlugin) {
    Command command = caller.command(verb_);
    const std::vector<std::string> strace = {"strace", "-o", log_, "-e", option};
    command.argv.insert(command.argv.begin(), strace.begin(), strace.end());
    return test::run(command);
  }
  write_file_atomically(option_file_, option, 0644);
  Output output = caller.run(verb_);
  std::filesystem::remove(option_file_);
  return output;
}

bool Victim::injected() const {
  return std::filesystem::exists(log_) && read_file(log_).find("(INJECTED)") != std::string::npos;
}

std::vector<Point> Victim::calls() const {
  const Output output = run("trace=all");
  if (!output.ok()) throw Error(ErrorCode::kInternal, concat(verb_, ": ", output.text()));
  return parse_trace(read_file(log_));
}

}  // namespace cni::test
