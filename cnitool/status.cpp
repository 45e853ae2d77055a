// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "commands.h"

namespace cnitool {

void status(const Options& options) { runtime(options).status(load(options)); }

}  // namespace cnitool
