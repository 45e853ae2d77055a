// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>

/// /proc/sys/net of the calling thread's network namespace; for a container's, call inside
/// NetNs::run. (A directory descriptor would not do: the kernel looks entries up in the namespace
/// of the process that asks, not of the one that opened the directory.)
namespace cni::sysctl {

/// Names with slashes below /proc/sys, "net/ipv4/ip_forward". nullopt when there is no such entry.
[[nodiscard]] std::optional<std::string> read(const std::string& name);
/// Writes when the value differs. False when there is no such entry (an address family that the
/// kernel does not have). Throws KernelError naming the entry.
bool write(const std::string& name, std::string_view value);
/// "net/ipv6/conf/<link>/<key>"
[[nodiscard]] std::string link_entry(std::string_view family, std::string_view link,
                                     std::string_view key);

}  // namespace cni::sysctl
