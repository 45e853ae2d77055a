// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "protocol/plugin.h"

namespace cni::host_device {
extern const Plugin plugin;
}  // namespace cni::host_device
