// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// All plugins in one file: what they share is there once, and a plugin and its IPAM plugin are one
// process.
#include "plugins.h"
#include "protocol/suite.h"

int main(int argc, char** argv) {
  return cni::suite::run(cni::kPlugins, {argv, static_cast<std::size_t>(argc)});
}
