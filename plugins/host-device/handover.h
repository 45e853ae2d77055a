// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "base/rollback.h"
#include "device_record.h"
#include "host/host.h"

/// A device on its way to a container and back. On the way it has a second name with the owner's
/// tag; its alias in the container is its name on the host, which the reference goes by.
namespace cni::host_device {

/// Moves the device into the sandbox under the name `ifname`, its record written before. `rollback`
/// gives it back.
void take(Host& host, Sandbox& sandbox, const netlink::Device& device, const DeviceRecord& record,
          const std::string& ifname, Rollback& rollback);

/// What became of a device that was to be given back.
struct Returned {
  bool found = false;
  std::string other_name;  // it has this one: somebody else has its own
};

/// The device is on the host as the record says, wherever it was: in the namespace of `inside`, or
/// on the host under whatever name. Nothing happens if it is in neither. Removes the mark at last.
Returned give_back(Host& host, netlink::Socket* inside, const DeviceRecord& record);

/// The same for a device that the reference moved: all that is known is its name, from the alias.
/// Nothing happens if `ifname` is no such device.
Returned give_back_unrecorded(Host& host, netlink::Socket& inside, const std::string& ifname);

}  // namespace cni::host_device
