// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "loopback.h"

int main() { return cni::run(cni::loopback::plugin); }
