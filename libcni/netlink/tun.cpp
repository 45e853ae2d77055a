// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"

namespace cni::netlink {
namespace {

constexpr const char* kDevice = "/dev/net/tun";

void require(int result, std::string_view what, const std::string& name) {
  if (result < 0) throw KernelError(errno, concat(what, " of tap ", quote(name)));
}

}  // namespace

void create_tap(const std::string& name, const Tap& tap) {
  const Fd fd = open_file(kDevice, O_RDWR);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  unsigned flags = IFF_TAP | IFF_TUN_EXCL;
  if (!tap.packet_info) flags |= IFF_NO_PI;
  if (tap.vnet_header) flags |= IFF_VNET_HDR;
  if (tap.multi_queue) flags |= IFF_MULTI_QUEUE;
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) {
    throw KernelError(errno, concat("create tap ", quote(name)));
  }
  if (tap.owner) require(::ioctl(fd.get(), TUNSETOWNER, *tap.owner), "set the owner", name);
  if (tap.group) require(::ioctl(fd.get(), TUNSETGROUP, *tap.group), "set the group", name);
  // Until now it goes when the descriptor is closed.
  require(::ioctl(fd.get(), TUNSETPERSIST, 1), "keep the device", name);
}

void read(const Attributes& data, Tap& out) {
  const auto id = [&](int attribute) -> std::optional<std::uint32_t> {
    if (data.find(attribute) == nullptr) return std::nullopt;
    return data.u32(attribute);
  };
  out.owner = id(IFLA_TUN_OWNER);
  out.group = id(IFLA_TUN_GROUP);
  out.multi_queue = data.u8(IFLA_TUN_MULTI_QUEUE) != 0;
  out.vnet_header = data.u8(IFLA_TUN_VNET_HDR) != 0;
  out.packet_info = data.u8(IFLA_TUN_PI) != 0;
}

}  // namespace cni::netlink
