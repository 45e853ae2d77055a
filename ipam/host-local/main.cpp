// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "host_local.h"

int main() { return cni::run(cni::host_local::plugin); }
