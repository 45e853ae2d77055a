// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "portmap.h"

int main() { return cni::run(cni::portmap::plugin); }
