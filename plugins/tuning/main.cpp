// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "tuning.h"

int main() { return cni::run(cni::tuning::plugin); }
