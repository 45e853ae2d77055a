// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "bridge.h"

int main() { return cni::run(cni::bridge::plugin); }
