// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ptp.h"

int main() { return cni::run(cni::ptp::plugin); }
