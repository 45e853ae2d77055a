// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/firewall_fixture.h"

#include <csignal>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "support/poll.h"
#include "support/skip.h"

namespace cni::test {
namespace {

constexpr std::chrono::milliseconds kBlocked{1000};
constexpr const char* kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

void require_program(const std::string& name) {
  if (!run({.argv = {"sh", "-c", concat("command -v ", name)}}).ok()) {
    skip(concat(name, " is not installed"));
  }
}

std::string bus_configuration(std::string_view socket) {
  return concat(
      "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
      "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
      "<busconfig><type>system</type><listen>unix:path=",
      socket,
      "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/>"
      "<allow own=\"*\"/><allow send_destination=\"*\" eavesdrop=\"true\"/>"
      "<allow eavesdrop=\"true\"/></policy></busconfig>\n");
}

}  // namespace

std::string firewall_conf(std::string_view members, std::string_view version,
                          std::string_view network) {
  return concat(R"({"cniVersion":")", version, R"(","name":")", network, R"(","type":"firewall")",
                members.empty() ? "" : ",", members, "}");
}

std::string Network::bridge_document() const {
  return bridge_conf(concat(R"("bridge":")", bridge, R"(","vlan":)", vlan,
                            R"(,"isDefaultGateway":true,"ipMasq":)", masquerade ? "true" : "false",
                            R"(,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.)", number,
                            R"(.0/24"}],[{"subnet":"2001:db8:)", number, R"(::/64"}]]})"),
                     "1.1.0", name);
}

std::string Network::firewall_document() const { return firewall_conf(firewall, "1.1.0", name); }

Pod::Pod(const Network& network, const std::string& id, std::vector<std::string> env)
    : id_(id),
      sandbox_(concat(network.name, "-", id)),
      conf_(network.firewall_document()),
      env_(std::move(env)),
      result_(
          Attachment{.conf = network.bridge_document(), .netns = sandbox_.path(), .id = id}.add()) {
  for (const auto& ip : result_.root()["ips"].items()) {
    const std::string address = ip["address"].string();
    (address.find(':') == std::string::npos ? v4_ : v6_) = address.substr(0, address.find('/'));
  }
}

std::string Pod::port() const {
  return result_.root()["interfaces"].items().at(1)["name"].string();
}

Attachment Pod::attachment() const {
  return {.conf = with(conf_, "prevResult", result_),
          .netns = sandbox_.path(),
          .id = id_,
          .plugin = "firewall",
          .env = env_};
}

Output Pod::firewall(std::string_view verb, const std::string& bin_dir) const {
  PluginCall call = attachment().call(verb);
  call.plugin = concat(bin_dir, "/firewall");
  if (bin_dir != our_bin_dir()) {  // the packaged reference ends at this version
    Json previous(result_.root());
    previous.set("cniVersion", "1.0.0");
    call.config = with(with(call.config, "cniVersion", "1.0.0"), "prevResult", std::move(previous));
  }
  return run_plugin(call);
}

Command Pod::command(std::string_view verb) const { return attachment().command(verb); }

const Pod& Pod::admit() const {
  const Output output = firewall("ADD");
  if (!output.ok()) throw Error(ErrorCode::kInternal, concat("firewall ADD: ", output.text()));
  return *this;
}

bool reaches(const TestNamespace& from, const TestNamespace& to, std::string_view address) {
  return tcp_peer_seen({.client = from, .server = to, .address = address}).has_value();
}

bool is_kept_from(const TestNamespace& from, const TestNamespace& to, std::string_view address) {
  return !tcp_peer_seen({.client = from, .server = to, .address = address, .patience = kBlocked});
}

void route_back(const OutsideHost& outside, const std::vector<Network>& networks) {
  for (const Network& network : networks) {
    tool(concat("ip route add 10.1.", network.number, ".0/24 via ", OutsideHost::kHostV4),
         &outside.net());
    tool(concat("ip route add 2001:db8:", network.number, "::/64 via ", OutsideHost::kHostV6),
         &outside.net());
  }
}

PrivateBus::PrivateBus(const TestHost& host) {
  require_program("dbus-daemon");
  const std::string socket = concat(host.scratch(), "/bus");
  const std::string conf = concat(host.scratch(), "/bus.conf");
  write_file_atomically(conf, bus_configuration(socket), 0644);
  variable_ = concat("DBUS_SYSTEM_BUS_ADDRESS=unix:path=", socket);
  daemon_.emplace(Process::start(
      {.argv = {"dbus-daemon", concat("--config-file=", conf), "--nofork", "--nopidfile"},
       .patience = std::chrono::seconds{600}}));
  const bool listens = eventually([&] {
    return run({.argv = {"dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus",
                         "/", "org.freedesktop.DBus.GetId"},
                .env = {kPath, variable_}})
        .ok();
  });
  if (!listens) throw Error(ErrorCode::kInternal, "dbus-daemon does not answer");
}

std::string PrivateBus::tool(std::vector<std::string> argv) const {
  const Output output = run({.argv = std::move(argv), .env = {kPath, variable_}});
  if (!output.ok()) throw Error(ErrorCode::kInternal, output.text());
  return output.out;
}

Firewalld::Firewalld(const TestHost& host) : bus_(host) {
  require_program("firewalld");
  require_program("firewall-cmd");
  const std::string folder = concat(host.scratch(), "/firewalld");
  for (const char* const part :
       {"zones", "services", "policies", "icmptypes", "ipsets", "helpers"}) {
    make_directories(concat(folder, "/", part), 0755);
  }
  write_file_atomically(concat(folder, "/firewalld.conf"),
                        "DefaultZone=public\nFirewallBackend=nftables\n", 0644);
  daemon_.emplace(
      Process::start({.argv = {"firewalld", "--nofork", "--nopid", "--system-config", folder,
                               "--log-target", "file", "--log-file", concat(folder, "/log")},
                      .env = {kPath, bus_.variable()},
                      .patience = std::chrono::seconds{600}}));
  const bool runs = eventually([&] {
    return run({.argv = {"firewall-cmd", "--state"}, .env = {kPath, bus_.variable()}}).ok();
  });
  if (!runs) skip(concat("firewalld does not start here: ", read_file(concat(folder, "/log"))));
}

std::string Firewalld::cmd(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), "firewall-cmd");
  std::string out = bus_.tool(arguments);
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string Firewalld::sources(const std::string& zone) const {
  return cmd({concat("--zone=", zone), "--list-sources"});
}

void Firewalld::stop() {
  daemon_->send(SIGTERM);
  static_cast<void>(daemon_->wait());
}

}  // namespace cni::test
