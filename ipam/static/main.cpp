// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "static.h"

int main() { return cni::run(cni::static_ipam::plugin); }
