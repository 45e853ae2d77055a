// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>

/// /proc/sys/net of the calling thread's network namespace; for a container's, call inside
/// NetNs::run. (A directory descriptor would not do: the kernel looks entries up in the namespace
/// of the process that asks, not of the one that opened the directory.) Symbolic links are not
/// followed.
namespace cni::sysctl {

/// Names with slashes below /proc/sys, "net/ipv4/ip_forward". nullopt when there is no such entry.
[[nodiscard]] std::optional<std::string> read(const std::string& name);
/// Writes when the value differs. False when there is no such entry (an address family that the
/// kernel does not have). Throws KernelError naming the entry.
bool write(const std::string& name, std::string_view value);
/// Writes without looking first. Throws KernelError naming the entry, also when it is missing.
void assign(const std::string& name, std::string_view value);
/// False also when there is no such entry.
[[nodiscard]] bool is_writable(const std::string& name);
/// "4096 16384" and "4096\t16384" are the same value: the kernel separates numbers by tabs.
[[nodiscard]] bool same_value(std::string_view a, std::string_view b);

/// The entry that a user's key names: "net.ipv4.ip_forward", or with slashes, where dots are part
/// of names, as sysctl(8) has it. The first "IFNAME" becomes `ifname`, whose own dots stay, as they
/// do where a dotted key spells the interface's name. Throws Error{kInvalidConfig} for what is not
/// below net.
[[nodiscard]] std::string entry_of(std::string_view key, std::string_view ifname);

/// "net/ipv6/conf/<link>/<key>"
[[nodiscard]] std::string link_entry(std::string_view family, std::string_view link,
                                     std::string_view key);

}  // namespace cni::sysctl
