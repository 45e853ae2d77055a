// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "model/ip.h"
#include "netlink/socket.h"

/// Connections that the kernel tracks. What follows an earlier redirection goes on to do so after
/// the rule is gone: an entry has to be forgotten for the next packet to see the rules again.
namespace cni::netlink::conntrack {

/// One entry: as the first packet had it, and where answers come from.
struct Flow {
  std::uint8_t protocol = 0;  // IPPROTO_*
  IpAddress source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  IpAddress answers_from;
  std::uint16_t answers_from_port = 0;

  [[nodiscard]] bool is_redirected() const noexcept {
    return answers_from != destination || answers_from_port != destination_port;
  }
};

/// What to look at; what is set must be so. Kernels from 5.8 on apply most of it themselves.
struct Filter {
  Family family = Family::kV4;
  std::optional<std::uint8_t> protocol;           // with the next
  std::optional<std::uint16_t> destination_port;  // of the first packet
  std::optional<IpAddress> answers_from;
};

/// Deletes the entries that match and that `stale` says yes to; how many. `socket` is one for
/// netfilter. None, with a warning, where the kernel has no such interface.
std::size_t forget(Socket& socket, const Filter& filter,
                   const std::function<bool(const Flow&)>& stale);

/// Deletes the entries that were redirected to this address. From 6.8 on the kernel is asked once
/// for IPv4 and passes over empty buckets; otherwise as forget(), whose list takes the lock of each
/// bucket of the table (some 40 ns each, 262,144 of them on a machine with much memory).
void forget_redirected_to(Socket& socket, const IpAddress& address);

}  // namespace cni::netlink::conntrack
