// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"
#include "model/json.h"
#include "model/version.h"

namespace cni {

/// Result types in the shape of CNI specification 1.1.0, section 5 "ADD Success". Older shapes
/// exist only in JSON (parse_result, to_json).
struct Interface {
  std::string name;
  std::string mac;
  unsigned mtu = 0;     // 0: not reported (1.1.0)
  std::string sandbox;  // empty: on the host
  std::string socket_path;
  std::string pci_id;
  friend bool operator==(const Interface&, const Interface&) = default;
};

struct IpConfig {
  std::optional<int> interface;  // index into Result::interfaces
  IpNet address;
  std::optional<IpAddress> gateway;
  friend bool operator==(const IpConfig&, const IpConfig&) = default;
};

struct Route {
  IpNet dst;
  std::optional<IpAddress> gw;
  unsigned mtu = 0;     // bytes, 0: not set
  unsigned advmss = 0;  // bytes, 0: not set
  unsigned priority = 0;
  std::optional<unsigned> table;
  std::optional<unsigned> scope;

  [[nodiscard]] bool is_default() const noexcept { return dst.prefix == 0; }
  /// A member of an array "routes". Throws Error{kInvalidConfig} naming the place.
  [[nodiscard]] static Route parse(const JsonRef& json);
  [[nodiscard]] Json to_json() const;
  friend auto operator<=>(const Route&, const Route&) = default;
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;

  [[nodiscard]] bool empty() const noexcept {
    return nameservers.empty() && domain.empty() && search.empty() && options.empty();
  }
  [[nodiscard]] static Dns parse(const JsonRef& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Dns&, const Dns&) = default;
};

struct Result {
  std::vector<Interface> interfaces;
  std::vector<IpConfig> ips;
  std::vector<Route> routes;
  Dns dns;

  /// The first interface of this name and sandbox, or nullptr.
  [[nodiscard]] const Interface* find_interface(std::string_view name,
                                                std::string_view sandbox) const noexcept;
  friend bool operator==(const Result&, const Result&) = default;
};

/// A gateway of 0.0.0.0 or :: means none; a route by way of it is one on the link.
void drop_unspecified_gateways(Result& result);

/// Reads a result of any supported version. The document's own cniVersion decides; without one,
/// `version_if_missing` does. `null` is an empty result. Throws Error{kInvalidConfig}, or
/// Error{kIncompatibleVersion} for an unknown version.
[[nodiscard]] Result parse_result(const JsonRef& json, SpecVersion version_if_missing);

/// The result in the shape of `version`. Throws Error{kInternal} when it cannot be expressed: 0.1.0
/// and 0.2.0 need an address. `null` results do not exist.
[[nodiscard]] Json to_json(const Result& result, SpecVersion version);

/// Throws what to_json would for an attachment without addresses (layer 2), before any work is
/// done.
void require_expressible_without_addresses(SpecVersion version);

}  // namespace cni
