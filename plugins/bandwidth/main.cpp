// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "bandwidth.h"

int main() { return cni::run(cni::bandwidth::plugin); }
