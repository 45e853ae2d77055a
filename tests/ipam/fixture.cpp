// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ipam/fixture.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

#include <fstream>
#include <iterator>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/process.h"
#include "support/catch.h"
#include "support/plugin.h"

namespace cni::test {

namespace fs = std::filesystem;

namespace {
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
}  // namespace

int Outcome::code() const {
  return ok() ? 0 : static_cast<int>(json().root()["code"].int_or(-1, 0, 100000));
}

std::string Outcome::message() const {
  if (ok()) return "success";
  const Json document = json();
  return concat(document.root()["msg"].string_or(""), "; ",
                document.root()["details"].string_or(""));
}

std::vector<std::string> Outcome::addresses() const {
  std::vector<std::string> out;
  const Json document = json();
  for (const JsonRef& ip : document.root()["ips"].items()) out.push_back(ip["address"].string());
  return out;
}

std::string our_plugin(std::string_view name) { return concat(our_bin_dir(), "/", name); }
std::string reference_plugin(std::string_view name) {
  return concat(reference_bin_dir(), "/", name);
}

void require_file(const std::string& path) {
  if (!fs::exists(path)) skip(concat(path, " is not installed"));
}

void require_own_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) skip("no right to make a mount namespace");
  REQUIRE(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
}

bool takes_long() { return std::getenv("CNI_TEST_LONG") != nullptr; }

Host::Host() {
  reboot();
  const std::string file = temp_.path("boot_id");
  require_own_mounts();
  REQUIRE(::mount(file.c_str(), kBootId, nullptr, MS_BIND, nullptr) == 0);
}

Host::~Host() { ::umount2(kBootId, MNT_DETACH); }

void Host::reboot() {
  const std::string number = concat(100000 + boots_++);
  write_text(temp_.path("boot_id"), concat("1a", number, "-1111-4111-8111-111111111111\n"));
}

std::vector<std::string> environment_of(const Call& call) {
  std::vector<std::string> env = {concat("CNI_COMMAND=", call.verb),
                                  concat("CNI_CONTAINERID=", call.container_id),
                                  concat("CNI_IFNAME=", call.ifname),
                                  concat("CNI_NETNS=", call.netns),
                                  concat("CNI_ARGS=", call.args),
                                  "CNI_PATH=/nowhere",
                                  "CNI_LOG_LEVEL=off"};
  env.insert(env.end(), call.env.begin(), call.env.end());
  return env;
}

Outcome run(const Call& call, std::string_view conf) {
  Deadline::start(std::chrono::minutes(10));
  const RunResult result = run_process(call.binary, {call.binary}, environment_of(call), conf);
  REQUIRE(result.status.signal == 0);
  return {result.status.code, result.output};
}

Network::Network(std::string_view ipam, std::string_view rest, std::string_view version)
    : ipam_(ipam), rest_(rest), version_(version) {}

std::string Network::conf_with(std::string_view members) const {
  return concat("{\"cniVersion\":\"", version_, "\",\"name\":\"net1\",\"type\":\"test\",",
                "\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"", data_dir().string(), "\",",
                ipam_, "}", rest_, members, "}");
}

Outcome Network::call(const std::string& binary, const std::string& verb, const std::string& id,
                      const std::string& ifname) const {
  std::string text = conf();
  // Debian's build of the reference is older than 1.1.0.
  if (binary == reference_plugin("host-local") && version_ == "1.1.0") {
    text.replace(text.find("1.1.0"), 5, "1.0.0");
  }
  return run({.binary = binary, .verb = verb, .container_id = id, .ifname = ifname}, text);
}

Outcome Network::add(const std::string& id, const std::string& ifname,
                     const std::string& args) const {
  return run({.verb = "ADD", .container_id = id, .ifname = ifname, .args = args}, conf());
}

Outcome Network::del(const std::string& id, const std::string& ifname) const {
  return call(our_plugin("host-local"), "DEL", id, ifname);
}

Outcome Network::check(const std::string& id, const std::string& ifname) const {
  return call(our_plugin("host-local"), "CHECK", id, ifname);
}

Outcome Network::status() const { return call(our_plugin("host-local"), "STATUS", ""); }

Outcome Network::gc(const std::vector<std::string>& valid) const {
  std::string list;
  for (const std::string& attachment : valid) {
    const auto slash = attachment.find('/');
    list += concat(list.empty() ? "" : ",", "{\"containerID\":\"", attachment.substr(0, slash),
                   "\",\"ifname\":\"", attachment.substr(slash + 1), "\"}");
  }
  return run({.verb = "GC"}, conf_with(concat(",\"cni.dev/valid-attachments\":[", list, "]")));
}

std::map<std::string, std::string> Network::leases() const {
  std::map<std::string, std::string> out;
  if (!fs::exists(dir())) return out;
  for (const auto& entry : fs::directory_iterator(dir())) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || name == "lock" || name.starts_with("last_reserved_ip.")) {
      continue;
    }
    out[name] = read_text(entry.path());
  }
  return out;
}

void Network::put(const std::string& name, std::string_view content) const {
  fs::create_directories(dir());
  write_text(dir() / name, content);
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const fs::path& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  REQUIRE(out.good());
}

}  // namespace cni::test
