// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/owner.h"
#include "netlink/device.h"
#include "netlink/saved.h"
#include "netns/identity.h"

/// What a device was on the host before it went into a container: /run/cnipp/devices/<owner tag>.
/// Like the moves, the files do not outlive a reboot.
namespace cni::host_device {

struct DeviceRecord {
  std::string owner;       // tag
  std::string netns;       // path
  NetNsIdentity identity;  // of that namespace
  std::string name, kind, alias;
  std::vector<std::string> second_names;
  Mac mac;
  unsigned mtu = 0;
  bool up = false;
  int ifindex = 0;
  std::string master;  // name; empty: none
  std::string parent, parent_bus;
  std::vector<netlink::Saved> addresses, routes;
  struct Sysctl {
    std::string family, key, value;  // "ipv6", "accept_ra", "0"
  };
  std::vector<Sysctl> sysctls;  // the kernel forgets them when the device leaves

  /// The second name that the device has while it is away: by it it is found, wherever it is.
  [[nodiscard]] std::string mark() const { return mark_of(owner); }
  [[nodiscard]] static std::string mark_of(std::string_view tag);
  /// Whether a second name is a mark, anybody's.
  [[nodiscard]] static bool is_mark(std::string_view name) noexcept;
  /// Its name on the host when the old one is taken.
  [[nodiscard]] std::string other_name() const;
};

/// What is to be known of it; it is on the host.
[[nodiscard]] DeviceRecord record_of(netlink::Socket& host, const netlink::Device& device,
                                     const Owner& owner);

void save(const DeviceRecord& record);
/// nullopt when there is none, or when it cannot be understood (which is logged).
[[nodiscard]] std::optional<DeviceRecord> find_record(std::string_view tag);
/// Of the network's attachments that are not among `valid`.
[[nodiscard]] std::vector<DeviceRecord> list_others(std::string_view network,
                                                    const OwnerSet& valid);
/// All of them.
[[nodiscard]] std::vector<DeviceRecord> list_records();
void remove_record(std::string_view tag);

}  // namespace cni::host_device
