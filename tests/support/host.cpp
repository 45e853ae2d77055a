// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/host.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "support/command.h"
#include "support/poll.h"
#include "support/skip.h"

namespace cni::test {
namespace {

namespace fs = std::filesystem;

void mount_or_throw(const char* source, const std::string& target, const char* type,
                    unsigned long flags) {
  if (::mount(source, target.c_str(), type, flags, nullptr) != 0) {
    throw_errno(concat("mount on ", target));
  }
}

// An ordinary user becomes root of a user namespace of its own; that takes one way, which is fine
// for a process that runs one test.
void become_root() {
  if (::geteuid() == 0) return;
  const auto uid = ::geteuid();
  const auto gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) {
    skip(concat("not root, and no user namespaces: ", std::strerror(errno)));
  }
  const auto write_proc = [](const char* path, const std::string& text) {
    write_all(open_file(path, O_WRONLY).get(), text, path);
  };
  write_proc("/proc/self/setgroups", "deny");
  write_proc("/proc/self/uid_map", concat("0 ", uid, " 1"));
  write_proc("/proc/self/gid_map", concat("0 ", gid, " 1"));
}

// An empty /var/lib/cni without creating one on the machine: /var/lib becomes a directory of bind
// mounts of what is in it.
void hide_var_lib_cni() {
  const std::string copy = "/run/var-lib";
  make_directories(copy, 0755);
  mount_or_throw("tmpfs", copy, "tmpfs", 0);
  for (const auto& entry : fs::directory_iterator("/var/lib")) {
    const std::string name = entry.path().filename();
    const std::string target = concat(copy, "/", name);
    if (name == "cni" || !entry.is_directory() || entry.is_symlink()) continue;
    make_directories(target, 0755);
    mount_or_throw(entry.path().c_str(), target, nullptr, MS_BIND | MS_REC);
  }
  make_directories(copy + "/cni", 0755);
  mount_or_throw(copy.c_str(), "/var/lib", nullptr, MS_MOVE);
  fs::remove(copy);
}

Fd open_namespace(const char* path) { return open_file(path, O_RDONLY); }

TestNamespace enter_private_host() {
  become_root();
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    skip(concat("cannot make namespaces: ", std::strerror(errno)));
  }
  mount_or_throw("none", "/", nullptr, MS_REC | MS_PRIVATE);
  if (::mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    skip(concat("cannot mount /sys: ", std::strerror(errno)));
  }
  mount_or_throw("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV);
  hide_var_lib_cni();
  make_directories("/run/netns", 0755);
  make_directories("/run/scratch", 0755);
  return TestNamespace::current();
}

}  // namespace

TestHost::TestHost()
    : outer_mounts_(open_namespace("/proc/thread-self/ns/mnt")),
      outer_net_(open_namespace("/proc/thread-self/ns/net")),
      net_(enter_private_host()) {
  TestNamespace::set_defaults();
  tool("ip link set lo up");
}

TestHost::~TestHost() {
  // An ordinary user cannot go back; its process ends with the test.
  const bool back = ::setns(outer_net_.get(), CLONE_NEWNET) == 0 &&
                    ::setns(outer_mounts_.get(), CLONE_NEWNS) == 0;
  if (!back && ::geteuid() == 0 && errno != EPERM) std::abort();
}

void TestHost::enable_forwarding() const {
  net_.set_sysctl("net/ipv4/ip_forward", "1");
  net_.set_sysctl("net/ipv6/conf/all/forwarding", "1");
}

TestSandbox::TestSandbox(std::string_view name)
    : path_(concat("/run/netns/", name)), net_(TestNamespace::create()) {
  const Fd mount_point = open_file(path_, O_RDONLY | O_CREAT | O_EXCL, 0444);
  mount_or_throw(net_.fd_path().c_str(), path_, nullptr, MS_BIND);
}

TestSandbox::~TestSandbox() {
  if (!path_.empty()) {
    ::umount2(path_.c_str(), MNT_DETACH);
    ::unlink(path_.c_str());
  }
}

void TestSandbox::unlink() {
  if (::umount2(path_.c_str(), MNT_DETACH) != 0) throw_errno(concat("umount ", path_));
  if (::unlink(path_.c_str()) != 0) throw_errno(concat("unlink ", path_));
}

void TestSandbox::destroy(TestSandbox sandbox) {
  [[maybe_unused]] const TestSandbox ends_here = std::move(sandbox);
}

OutsideHost::OutsideHost(const TestHost& host) : net_(TestNamespace::create()) {
  const auto at = [](const TestNamespace& net, std::string_view own, std::string_view own6) {
    tool("ip link set lo up", &net);
    net.set_sysctl("net/ipv6/conf/uplink/accept_dad", "0");
    tool("ip link set uplink up", &net);
    tool(concat("ip addr add ", own, "/24 dev uplink"), &net);
    tool(concat("ip addr add ", own6, "/64 dev uplink nodad"), &net);
  };
  tool(concat("ip link add uplink type veth peer name uplink netns ", net_.fd_path()));
  at(host.net(), kHostV4, kHostV6);
  at(net_, kV4, kV6);
  tool(concat("ip route add default via ", kV4));
  tool(concat("ip route add default via ", kV6));
  // Up, and the link-local address, which the kernel adds by itself after that, is usable.
  const auto is_settled = [](const TestNamespace& net) {
    const Json links = tool_json("ip -j addr show uplink", &net);
    const JsonRef link = links.root().items().at(0);
    const auto addresses = link["addr_info"].items();
    return link["operstate"].string() == "UP" &&
           std::any_of(addresses.begin(), addresses.end(), [](const JsonRef& address) {
             return address["scope"].string() == "link" && !address["tentative"].bool_or(false);
           });
  };
  const bool up = eventually([&] { return is_settled(host.net()) && is_settled(net_); });
  if (!up) throw Error(ErrorCode::kInternal, "test host: the uplink does not come up");
}

}  // namespace cni::test
