// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netns/identity.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

// What Debian 12's headers do not have yet.
#ifndef NS_GET_ID
#define NS_GET_ID _IOR(NSIO, 13, std::uint64_t)
#endif

namespace cni {
namespace {

constexpr std::size_t kBootDigits = 16;

std::string read_boot_id() {
  const Fd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char buffer[64];
  const ssize_t got = fd.valid() ? ::read(fd.get(), buffer, sizeof buffer) : 0;
  std::string out;
  for (ssize_t i = 0; i < got && out.size() < kBootDigits; ++i) {
    if (buffer[i] != '-') out += buffer[i];
  }
  return out.size() == kBootDigits ? out : std::string();
}

bool is_boot_id(std::string_view text) {
  return text.size() == kBootDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Asks a socket inside: SO_NETNS_COOKIE, since 5.14.
std::uint64_t cookie_from_inside(const NetNs& netns) {
  try {
    return netns.run([] {
      const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      std::uint64_t cookie = 0;
      socklen_t size = sizeof cookie;
      return ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie
                                                                                          : 0;
    });
  } catch (const KernelError&) {
    return 0;  // no right to enter it
  }
}

std::uint64_t cookie_of(const NetNs& netns) {
  std::uint64_t id = 0;  // since 6.18; there the cookie is the same number
  return ::ioctl(netns.fd(), NS_GET_ID, &id) == 0 ? id : cookie_from_inside(netns);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace

const std::string& boot_id() {
  static const std::string id = read_boot_id();
  return id;
}

NetNsIdentity NetNsIdentity::of(const NetNs& netns) {
  return {boot_id(), netns.inode(), cookie_of(netns)};
}

NetNsIdentity NetNsIdentity::of_path(const std::string& path) {
  const auto netns = NetNs::open_if_exists(path);
  return netns ? of(*netns) : NetNsIdentity{boot_id()};
}

NetNsIdentity::Match NetNsIdentity::compare(const NetNsIdentity& other) const noexcept {
  if (!boot.empty() && !other.boot.empty() && boot != other.boot) return Match::kOther;
  if (cookie != 0 && other.cookie != 0) {
    return cookie == other.cookie ? Match::kSame : Match::kOther;
  }
  if (inode != 0 && other.inode != 0 && inode != other.inode) return Match::kOther;
  return Match::kPossible;
}

std::string NetNsIdentity::text() const { return concat(boot, ":", inode, ":", cookie); }

std::optional<NetNsIdentity> NetNsIdentity::parse(std::string_view text) {
  const auto first = text.find(':');
  const auto second = text.rfind(':');
  if (first == text.npos || second == first) return std::nullopt;
  const std::string_view boot = text.substr(0, first);
  const auto inode = parse_number(text.substr(first + 1, second - first - 1));
  const auto cookie = parse_number(text.substr(second + 1));
  if (!inode || !cookie || !(boot.empty() || is_boot_id(boot))) return std::nullopt;
  return NetNsIdentity{std::string(boot), *inode, *cookie};
}

}  // namespace cni
