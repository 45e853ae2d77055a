// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "masquerade/masquerade.h"
#include "model/result.h"
#include "protocol/request.h"

namespace cni::bridge {

/// The plugin's configuration; docs/plugins/bridge.md describes the keys.
struct Config {
  std::string bridge = "cni0";
  bool is_gateway = false;
  bool is_default_gateway = false;
  bool force_address = false;
  masquerade::Settings ip_masq;
  unsigned mtu = 0;  // bytes, 0: the kernel's default
  bool hairpin_mode = false;
  bool promisc_mode = false;
  std::uint16_t vlan = 0;                 // 0: none
  std::vector<std::uint16_t> vlan_trunk;  // sorted, without repetitions
  bool vlan_filtering = false;            // of a bridge that is created
  bool preserve_default_vlan = false;
  bool mac_spoof_check = false;
  bool enable_dad = false;
  bool disable_container_interface = false;
  bool port_isolation = false;
  bool has_ipam = false;   // layer 3
  std::optional<Dns> dns;  // replaces the IPAM plugin's as a whole
  std::optional<Mac> mac;  // of the container's end

  /// Reads and checks everything. Throws Error{kInvalidConfig}, kInvalidEnvironment for CNI_ARGS.
  [[nodiscard]] static Config parse(const Request& request);
  /// What DEL and GC need, from a configuration that ADD might refuse. Never throws.
  [[nodiscard]] static Config parse_leniently(const Request& request) noexcept;
};

}  // namespace cni::bridge
