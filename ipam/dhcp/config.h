// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>

#include "client.h"
#include "model/config.h"
#include "rpc.h"

/// The configuration's `ipam` as DHCP needs it. Pure.
namespace cni::dhcp {

inline constexpr std::string_view kDefaultSocket = "/run/cni/dhcp.sock";

/// ipam.daemonSocketPath, or the usual one. Throws Error{kInvalidConfig}.
[[nodiscard]] std::string socket_path(const NetConf& conf);

struct Config {
  std::string network;
  std::string key;  // "<container>/<network>/<interface>"
  unsigned priority = 0;
  bool broadcast = false;
  bool has_broadcast = false;  // the key is written: nothing is found out by looking
  Probing probing = Probing::kOff;
  Bytes parameters;
  Options provided;
  enum class ClientId : std::uint8_t { kLegacy, kDuid, kMac };
  ClientId client_id = ClientId::kLegacy;

  /// Throws Error naming the place.
  [[nodiscard]] static Config parse(const NetConf& conf, const rpc::Call& call);
  /// Option 61; `machine_id` makes the DUID.
  [[nodiscard]] Bytes make_client_id(const Mac& mac, std::string_view machine_id) const;
};

/// The network configuration in a call. Throws Error.
[[nodiscard]] NetConf parse_conf(const rpc::Call& call);

}  // namespace cni::dhcp
