// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/link.h"

/// Links that exist before us and go from one namespace to another.
namespace cni::netlink {

struct Device {
  Link link;
  std::vector<std::string> second_names;
  std::string parent,
      parent_bus;  // "0000:03:00.0", "pci"; empty: no hardware, or before Linux 5.14
};
/// By its name or one of its second names.
[[nodiscard]] std::optional<Device> find_device(Socket& socket, const std::string& name);

/// Where a device goes, and what it is called there. Its addresses and routes stay behind, and it
/// is down.
struct Move {
  int netns = -1;  // descriptor
  std::string name;
  std::string alias;  // empty: none
};
/// One request: the device has its new name as soon as it is there. EEXIST when the name is taken,
/// EINVAL when the device cannot leave its namespace.
[[nodiscard]] Message move_device(const Link& link, const Move& move);

/// EBUSY for a link that is up, before Linux 6.2.
[[nodiscard]] Message rename_link(const Link& link, const std::string& name);
[[nodiscard]] Message set_master(const Link& link, int master);
/// Takes away a second name.
[[nodiscard]] Message remove_name(const std::string& name, const std::string& second);

}  // namespace cni::netlink
