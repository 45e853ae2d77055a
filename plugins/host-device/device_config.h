// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "model/result.h"
#include "netlink/device.h"
#include "protocol/request.h"

namespace cni::host_device {

/// Which device, and what becomes of its addresses. Of several selectors the first counts, in the
/// order of the members.
struct Config {
  std::string device_id;  // runtimeConfig.deviceID: a PCI or an auxiliary device
  std::string device;     // name or second name
  std::optional<Mac> hwaddr;
  std::string kernel_path;  // below /sys/devices, without ".."
  std::string pci;          // address
  bool use_interface_network = false;
  bool has_ipam = false;
  std::optional<Dns> dns;  // replaces the IPAM plugin's as a whole

  /// Throws Error{kInvalidConfig}.
  [[nodiscard]] static Config parse(const Request& request);
  /// False where the runtime chooses the device.
  [[nodiscard]] bool names_one() const noexcept;
  /// The PCI address of the device; "" when it is not named by one.
  [[nodiscard]] std::string pci_address() const;
};

/// Throws Error{kInvalidConfig} when no device is named.
void require_selector(const Config& conf);

/// The device has a driver that gives it to programs: it has no link. In this namespace's /sys.
[[nodiscard]] bool is_for_programs(const Config& conf);

/// The device among the host's links. Throws Error{`code`} naming what is missing.
[[nodiscard]] netlink::Device get_device(netlink::Socket& host, const Config& conf, ErrorCode code);

}  // namespace cni::host_device
