// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "protocol/plugin.h"

namespace cni::dummy {
extern const Plugin plugin;
}  // namespace cni::dummy
