// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <span>

namespace cni::dhcp {

/// `dhcp daemon`, with what follows on its command line. Returns the exit status when it was asked
/// to end: 0; 1 when it could not begin, 2 for a wrong command line.
int run_daemon(std::span<const char* const> arguments);

}  // namespace cni::dhcp
