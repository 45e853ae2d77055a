// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "commands.h"
#include "output.h"

namespace cnitool {

void add(const Options& options) {
  const cni::Json result = runtime(options).add(load(options), attach_args(options));
  print(result.dump(4));
}

}  // namespace cnitool
