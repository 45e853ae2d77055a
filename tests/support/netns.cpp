// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

#include "base/concat.h"
#include "base/error.h"

namespace cni::test {
namespace {

constexpr const char* kOwnNetns = "/proc/thread-self/ns/net";

// A fresh namespace inherits IPv4 settings of the machine's first one: say what tests rely on.
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"net/ipv4/ip_forward", "0"},
    {"net/ipv4/conf/all/rp_filter", "0"},
    {"net/ipv4/conf/default/rp_filter", "0"},
    {"net/ipv4/conf/all/arp_ignore", "0"},
    {"net/ipv4/conf/default/arp_ignore", "0"},
    {"net/ipv4/conf/default/forwarding", "0"},
    {"net/ipv6/conf/all/forwarding", "0"},
    {"net/ipv6/conf/all/disable_ipv6", "0"},
    {"net/ipv6/conf/default/disable_ipv6", "0"},
    {"net/ipv6/conf/default/accept_ra", "1"},
    {"net/ipv6/conf/default/accept_dad", "1"},
};

void write_sysctl(const std::string& key, const std::string& value) {
  const std::string path = concat("/proc/sys/", key);
  const Fd file = open_file(path, O_WRONLY);
  write_all(file.get(), value, path);
}

}  // namespace

TestNamespace TestNamespace::current() { return open(kOwnNetns); }

TestNamespace TestNamespace::open(const std::string& path) {
  return TestNamespace(open_file(path, O_RDONLY));
}

TestNamespace TestNamespace::create() {
  const TestNamespace here = current();
  return here.run([] {
    if (::unshare(CLONE_NEWNET) != 0) throw_errno("unshare network namespace");
    set_defaults();
    return current();
  });
}

void TestNamespace::set_defaults() {
  for (const auto& [key, value] : kDefaults) write_sysctl(key, value);
}

std::string TestNamespace::fd_path() const { return concat("/proc/", ::getpid(), "/fd/", fd()); }

void TestNamespace::set_sysctl(const std::string& key, const std::string& value) const {
  run([&] { write_sysctl(key, value); });
}

std::string TestNamespace::sysctl(const std::string& key) const {
  std::string value = run([&] { return read_file(concat("/proc/sys/", key)); });
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

TestNamespace::Entered::Entered(const TestNamespace& target)
    : back_(open_file(kOwnNetns, O_RDONLY)) {
  if (::setns(target.fd(), CLONE_NEWNET) != 0) throw_errno("setns");
}

TestNamespace::Entered::~Entered() {
  // Whatever came next would happen in the wrong namespace.
  if (::setns(back_.get(), CLONE_NEWNET) != 0) std::abort();
}

}  // namespace cni::test
