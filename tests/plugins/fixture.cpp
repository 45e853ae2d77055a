// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/fixture.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "model/ip.h"
#include "support/command.h"
#include "support/skip.h"

namespace cni::test {

namespace fs = std::filesystem;

std::string plugin_conf(std::string_view type, std::string_view members, std::string_view version,
                        std::string_view network) {
  return concat(R"({"cniVersion":")", version, R"(","name":")", network, R"(","type":")", type,
                "\"", members.empty() ? "" : ",", members, "}");
}

std::string bridge_conf(std::string_view members, std::string_view version,
                        std::string_view network) {
  return plugin_conf("bridge", members, version, network);
}

PluginCall Attachment::call(std::string_view command) const {
  PluginCall call;
  call.command = command;
  call.plugin = concat(our_bin_dir(), "/", plugin);
  call.config = conf;
  call.container_id = id;
  call.netns = netns;
  call.ifname = ifname;
  call.args = args;
  call.bin_dir = plugin_path;
  call.env = env;
  return call;
}

Command Attachment::command(std::string_view command) const { return command_of(call(command)); }

Output Attachment::run(std::string_view command) const { return run_plugin(call(command)); }

Output Attachment::run(std::string_view command, const Json& previous) const {
  PluginCall with_previous = call(command);
  with_previous.config = with(conf, "prevResult", previous);
  return run_plugin(with_previous);
}

Attachment Attachment::collecting(const std::vector<std::string>& valid_ids) const {
  Json valid = Json::array();
  for (const std::string& valid_id : valid_ids) {
    valid.push(Json::object().set("containerID", valid_id).set("ifname", ifname));
  }
  Attachment out = *this;
  out.conf = with(conf, "cni.dev/valid-attachments", std::move(valid));
  return out;
}

Json Attachment::add() const {
  const Output output = run("ADD");
  if (!output.ok()) throw Error(ErrorCode::kInternal, concat("ADD: ", output.text()));
  return output.json();
}

void Attachment::del() const {
  const Output output = run("DEL");
  if (!output.ok()) throw Error(ErrorCode::kInternal, concat("DEL: ", output.text()));
}

Output run_gc(const std::string& conf, const std::vector<std::string>& valid_ids) {
  const Attachment any{
      .conf = conf, .netns = "", .plugin = Json::parse(conf).root()["type"].string()};
  return any.collecting(valid_ids).run("GC");
}

int code_of(const Output& output) {
  if (output.ok()) return 0;
  try {
    return static_cast<int>(output.json().root()["code"].int_or(-1, 0, 100000));
  } catch (const Error&) {
    return -1;
  }
}

std::string message_of(const Output& output) {
  if (output.ok()) return "success";
  try {
    const Json document = output.json();
    return concat(document.root()["msg"].string_or(""), "; ",
                  document.root()["details"].string_or(""));
  } catch (const Error&) {
    return output.text();
  }
}

Json link_of(std::string_view name, const TestNamespace* net) {
  const Json list = tool_json(concat("ip -j -d link show dev ", name), net);
  return Json(list.root().items().at(0));
}

bool has_link(std::string_view name, const TestNamespace* net) {
  const Json list = tool_json("ip -j link", net);
  return std::ranges::any_of(list.root().items(),
                             [&](const JsonRef& link) { return link["ifname"].string() == name; });
}

std::vector<std::string> ports_of(std::string_view bridge) {
  const Json list = tool_json("ip -j link");
  std::vector<std::string> out;
  for (const JsonRef& link : list.root().items()) {
    if (link["master"].string_or("") == bridge) out.push_back(link["ifname"].string());
  }
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> addresses_of(std::string_view link, const TestNamespace* net) {
  const Json list = tool_json(concat("ip -j addr show dev ", link), net);
  std::vector<std::string> out;
  for (const JsonRef& address : list.root().items().at(0)["addr_info"].items()) {
    if (address["scope"].string() != "global") continue;
    out.push_back(concat(address["local"].string(), "/", address["prefixlen"].int_or(0, 0, 128)));
  }
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> leases_of(std::string_view network) {
  std::vector<std::string> out;
  const std::string dir = concat("/var/lib/cni/networks/", network);
  if (!fs::exists(dir)) return out;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const std::string name = entry.path().filename();
    if (!entry.is_regular_file() || !IpAddress::try_parse(name)) continue;
    out.push_back(name);
  }
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> masqueraded() {
  const Json ruleset = tool_json("nft -j list ruleset");
  std::vector<std::string> out;
  for (const JsonRef& object : ruleset.root()["nftables"].items()) {
    const JsonRef set = object["set"];
    if (!set.present() || set["table"].string() != "cnipp") continue;
    if (!set["name"].string().starts_with("masq-")) continue;
    for (const JsonRef& element : set["elem"].items()) out.push_back(element.string());
  }
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> records() {
  std::vector<std::string> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/run/cnipp/attachments", none)) {
    out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> processes_here() {
  std::error_code ignored;
  const auto own = fs::read_symlink("/proc/self/ns/net", ignored);
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (pid == std::to_string(::getpid())) continue;
    if (fs::read_symlink(entry.path() / "ns/net", ignored) != own || ignored) continue;
    try {
      out.push_back(concat(pid, " ", read_file(entry.path() / "comm")));
    } catch (const Error&) {
      continue;  // it has ended
    }
  }
  return out;
}

void require_vlan_filtering() {
  const Output probe =
      run({.argv = {"ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1"}});
  if (!probe.ok()) skip("this kernel has no bridge VLAN filtering");
  tool("ip link del probe");
}

void wait_for_addresses() {
  (void)eventually([] { return tool("ip -6 addr show tentative").empty(); });
}

bool sweep_is_full() {
  const char* const wanted = std::getenv("CNIPP_SWEEP");
  return wanted != nullptr && std::string_view(wanted) == "full";
}

std::string install_script(const TestHost& host, const std::string& name, std::string_view body) {
  const std::string dir = concat(host.scratch(), "/bin");
  make_directories(dir, 0755);
  write_file_atomically(concat(dir, "/", name), concat("#!/bin/sh\n", body), 0755);
  return concat(dir, ":", our_bin_dir());
}

std::string install_fixed_ipam(const TestHost& host, std::string_view result) {
  return install_script(host, "fixed",
                        concat("[ $CNI_COMMAND = ADD ] && cat <<'END'\n", result, "\nEND\nexit 0"));
}

std::string install_ipam_copy(const TestHost& host) {
  const std::string dir = concat(host.scratch(), "/copy");
  make_directories(dir, 0755);
  fs::copy_file(concat(our_bin_dir(), "/cnipp"), concat(dir, "/host-local"));
  return concat(dir, ":", our_bin_dir());
}

}  // namespace cni::test
