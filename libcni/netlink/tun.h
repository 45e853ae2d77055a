// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "netlink/reply.h"

/// Taps, which netlink shows and /dev/net/tun makes.
namespace cni::netlink {

struct Tap {
  std::optional<std::uint32_t> owner, group;  // who may open it; else root alone
  bool multi_queue = false;
  bool vnet_header = false, packet_info = false;  // until a program that opens it says otherwise
};

/// In the calling thread's namespace, and there to stay. Killed at any point it leaves nothing.
/// Throws KernelError: EBUSY when the name is taken, ENOENT or ENODEV without the module tun.
void create_tap(const std::string& name, const Tap& tap);

/// What a look-up said about it (kind_data).
void read(const Attributes& data, Tap& out);

}  // namespace cni::netlink
