// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "protocol/request.h"

namespace cni::bridge {

/// Compares everything ADD made with prevResult and the configuration. Throws Error{kMismatch}
/// naming the first difference. Changes nothing.
void check(const Request& request);

}  // namespace cni::bridge
