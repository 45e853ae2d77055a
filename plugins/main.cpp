// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// All plugins in one file: what they share is there once, and a plugin and its IPAM plugin are one
// process.
#include "bandwidth.h"
#include "bridge.h"
#include "dummy.h"
#include "firewall.h"
#include "host_device.h"
#include "host_local.h"
#include "loopback.h"
#include "macvlan.h"
#include "portmap.h"
#include "protocol/suite.h"
#include "ptp.h"
#include "static.h"
#include "tuning.h"

int main(int argc, char** argv) {
  constexpr const cni::Plugin* kPlugins[] = {
      &cni::bandwidth::plugin,  &cni::dummy::plugin,       &cni::macvlan::plugin,
      &cni::bridge::plugin,     &cni::firewall::plugin,    &cni::host_device::plugin,
      &cni::host_local::plugin, &cni::loopback::plugin,    &cni::portmap::plugin,
      &cni::ptp::plugin,        &cni::static_ipam::plugin, &cni::tuning::plugin};
  return cni::suite::run(kPlugins, {argv, static_cast<std::size_t>(argc)});
}
