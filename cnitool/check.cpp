// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "commands.h"

namespace cnitool {

void check(const Options& options) { runtime(options).check(load(options), attach_args(options)); }

}  // namespace cnitool
