// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <vector>

#include "runtime/cache.h"
#include "runtime/network.h"
#include "runtime/runtime.h"

namespace cnitool {

/// What the command line says; what it leaves out comes from the environment.
struct Options {
  std::string network;
  std::string netns;
  std::string ifname;  // empty: CNI_IFNAME, then eth0
  std::string cache_dir = "/var/lib/cni";
  std::vector<std::string> keep;  // gc: CONTAINER or CONTAINER:IFNAME
  bool json = false;
  std::string address;  // ipam free: this one,
  bool dead = false;    // or all that look dead,
  bool yes = false;     // without asking
};

/// NETCONFPATH, or /etc/cni/net.d.
[[nodiscard]] std::string config_directory();
/// The runtime with CNI_PATH and the cache; throws when CNI_PATH is empty.
[[nodiscard]] cni::Runtime runtime(const Options& options);
[[nodiscard]] cni::ResultCache cache(const Options& options);
[[nodiscard]] cni::Network load(const Options& options);
/// Container id (from the absolute netns path), interface name, CNI_ARGS and CAP_ARGS.
[[nodiscard]] cni::AttachArgs attach_args(const Options& options);

}  // namespace cnitool
