// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ipam/dhcp_lan.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "support/poll.h"
#include "support/skip.h"

namespace cni::test {
namespace {

void require_program(const std::string& path) {
  if (::access(path.c_str(), X_OK) != 0) skip(concat("no ", path));
}

bool answers() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(kDhcpSocket, address.sun_path);
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Lan::Lan() : net_(TestNamespace::create()) {
  make_directories(host_.scratch(), 0755);
  tool("ip link add br0 type bridge");
  tool("ip link set br0 up");
  tool(concat("ip link add uplink0 type veth peer name lan0 netns ", net_.fd_path()));
  tool("ip link set uplink0 master br0 up");
  tool("ip link set lo up", &net_);
  tool("ip link set lan0 up", &net_);
  tool("ip addr add 10.0.0.1/24 dev lan0", &net_);
}

std::string Lan::file(std::string_view name) const { return concat(host_.scratch(), "/", name); }

std::string Lan::write(std::string_view name, std::string_view content) const {
  write_file_atomically(file(name), content, 0644);
  return file(name);
}

TestSandbox Lan::container(const std::string& name) const {
  TestSandbox out(name);
  tool(concat("ip link add v", name, " type veth peer name eth0 netns ", out.net().fd_path()));
  tool(concat("ip link set v", name, " master br0 up"));
  return out;
}

DhcpServer dnsmasq(const Lan& lan, const std::vector<std::string>& more) {
  require_program("/usr/sbin/dnsmasq");
  std::vector<std::string> argv{"/usr/sbin/dnsmasq",
                                "--keep-in-foreground",
                                "--conf-file=/dev/null",
                                "--port=0",
                                "--interface=lan0",
                                "--bind-interfaces",
                                "--no-ping",
                                "--dhcp-authoritative",
                                "--user=root",
                                "--group=root",
                                "--pid-file=",
                                "--log-facility=-",
                                "--log-dhcp",
                                "--dhcp-sequential-ip",
                                "--domain=lab.test",
                                "--dhcp-option=6,10.0.0.53",
                                concat("--dhcp-leasefile=", lan.file("dnsmasq.leases"))};
  if (std::ranges::none_of(
          more, [](const std::string& arg) { return arg.starts_with("--dhcp-range="); })) {
    argv.push_back("--dhcp-range=10.0.0.100,10.0.0.199,255.255.255.0,1h");
  }
  argv.insert(argv.end(), more.begin(), more.end());
  return {"dnsmasq", {.argv = argv, .net = &lan.net(), .patience = std::chrono::seconds(1000)}};
}

DhcpServer kea(const Lan& lan, const std::string& more, const std::string& pool,
               const std::string& router) {
  require_program("/usr/sbin/kea-dhcp4");
  const std::string conf = lan.write(
      "kea.json",
      concat(R"({"Dhcp4":{"interfaces-config":{"interfaces":["lan0"],"dhcp-socket-type":"raw"},)",
             R"("lease-database":{"type":"memfile","persist":true,"name":")",
             lan.file("kea.leases"), R"("},"authoritative":true,)", more.empty() ? "" : more + ",",
             R"("option-data":[{"name":"routers","data":")", router, R"("},)",
             R"({"name":"domain-name-servers","data":"10.0.0.53"},)",
             R"({"name":"domain-name","data":"lab.test"}],)",
             R"("subnet4":[{"id":1,"subnet":"10.0.0.0/24",)", R"("pools":[{"pool":")", pool,
             R"("}]}]}})"));
  Command command{.argv = {"/usr/sbin/kea-dhcp4", "-c", conf},
                  .env = {concat("KEA_PIDFILE_DIR=", lan.host().scratch()),
                          concat("KEA_LOCKFILE_DIR=", lan.host().scratch()),
                          "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                  .net = &lan.net(),
                  .patience = std::chrono::seconds(1000)};
  return {"kea", command};
}

DhcpServer isc(const Lan& lan, const std::string& more) {
  require_program("/usr/sbin/dhcpd");
  const std::string conf =
      lan.write("dhcpd.conf", concat("authoritative; ping-check false;\n", more,
                                     "\nsubnet 10.0.0.0 netmask 255.255.255.0 {\n"
                                     "  range 10.0.0.100 10.0.0.199;\n  option routers 10.0.0.1;\n"
                                     "  option domain-name-servers 10.0.0.53;\n"
                                     "  option domain-name \"lab.test\";\n}\n"));
  const std::string leases = lan.write("dhcpd.leases", "");
  return {"isc",
          {.argv = {"/usr/sbin/dhcpd", "-4", "-f", "-d", "-cf", conf, "-lf", leases, "-pf",
                    lan.file("dhcpd.pid"), "-user", "root", "-group", "root", "lan0"},
           .net = &lan.net(),
           .patience = std::chrono::seconds(1000)}};
}

DhcpServer udhcpd(const Lan& lan, const std::string& more) {
  require_program("/usr/sbin/udhcpd");
  const std::string leases = lan.write("udhcpd.leases", "");
  const std::string conf = lan.write(
      "udhcpd.conf", concat("start 10.0.0.100\nend 10.0.0.199\ninterface lan0\nlease_file ", leases,
                            "\npidfile ", lan.file("udhcpd.pid"), "\nauto_time 0\n",
                            "option subnet 255.255.255.0\nopt router 10.0.0.1\nopt dns 10.0.0.53\n",
                            "option domain lab.test\noption lease 3600\n", more, "\n"));
  return {"udhcpd",
          {.argv = {"/usr/sbin/udhcpd", "-f", conf},
           .net = &lan.net(),
           .patience = std::chrono::seconds(1000)}};
}

DhcpDaemon::DhcpDaemon(const std::string& program, const std::vector<std::string>& more) {
  Command command{.argv = {program, "daemon"}, .patience = std::chrono::seconds(1000)};
  command.argv.insert(command.argv.end(), more.begin(), more.end());
  process_.emplace(Process::start(command));
  if (!eventually(answers)) throw Error(ErrorCode::kInternal, "the DHCP daemon does not answer");
}

void DhcpDaemon::kill() {
  process_->send(SIGKILL);
  static_cast<void>(process_->wait());
  process_.reset();
}

Output DhcpDaemon::end() {
  process_->send(SIGTERM);
  Output out = process_->wait();
  process_.reset();
  return out;
}

std::string dhcp_conf(const std::string& ipam, const std::string& version) {
  return concat(R"({"cniVersion":")", version,
                R"(","name":"net1","type":"test","ipam":{"type":"dhcp")", ipam.empty() ? "" : ",",
                ipam, "}}");
}

PluginCall dhcp_call(const std::string& verb, const std::string& container,
                     const std::string& conf) {
  return {.command = verb,
          .plugin = "dhcp",
          .config = conf,
          .container_id = container,
          .netns = concat("/run/netns/", container)};
}

}  // namespace cni::test
