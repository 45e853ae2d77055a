// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "model/result.h"
#include "netlink/link.h"
#include "protocol/request.h"

/// What plugins share that give a container addresses.
namespace cni {

/// The key "mtu" of an interface plugin; 0: the kernel's default. Throws Error{kInvalidConfig}.
[[nodiscard]] unsigned parse_mtu(const JsonRef& json);
/// The MAC that the container's interface is to have: of runtimeConfig, else of args.cni, of
/// CNI_ARGS, of the plugin's own `key` if it has one. Throws Error{kInvalidConfig}.
[[nodiscard]] std::optional<Mac> parse_mac(const Request& request, const JsonRef& key = {});
/// The key "dns" of an interface plugin: what it replaces the IPAM plugin's with, as a whole. Even
/// an empty list replaces; {} does not. Throws Error{kInvalidConfig}.
[[nodiscard]] std::optional<Dns> parse_dns(const JsonRef& json);

/// The addresses of the result, each with its prefix.
[[nodiscard]] std::vector<IpNet> addresses_of(const Result& result);
/// The result without the addresses that belong to other interfaces than `ifname`: a later plugin
/// of the chain may have added some.
[[nodiscard]] Result only_interface(Result result, std::string_view ifname);
/// Throws Error{kDelegate} for an address that no interface can have, or a gateway that cannot be
/// one for it.
void require_possible_address(const IpConfig& ip);
/// An interface for a result; an empty sandbox: on the host.
[[nodiscard]] Interface describe(const netlink::Link& link, std::string_view sandbox);

}  // namespace cni
