// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "firewall.h"

int main() { return cni::run(cni::firewall::plugin); }
