// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "protocol/plugin.h"

/// Every plugin of the suite: the one list. Each is defined in the file of its name.
namespace cni::bandwidth {
extern const Plugin plugin;
}
namespace cni::bridge {
extern const Plugin plugin;
}
namespace cni::dhcp {
extern const Plugin plugin;
}
namespace cni::dummy {
extern const Plugin plugin;
}
namespace cni::firewall {
extern const Plugin plugin;
}
namespace cni::host_device {
extern const Plugin plugin;
}
namespace cni::host_local {
extern const Plugin plugin;
}
namespace cni::ipvlan {
extern const Plugin plugin;
}
namespace cni::loopback {
extern const Plugin plugin;
}
namespace cni::macvlan {
extern const Plugin plugin;
}
namespace cni::portmap {
extern const Plugin plugin;
}
namespace cni::ptp {
extern const Plugin plugin;
}
namespace cni::sbr {
extern const Plugin plugin;
}
namespace cni::static_ipam {
extern const Plugin plugin;
}
namespace cni::tap {
extern const Plugin plugin;
}
namespace cni::tuning {
extern const Plugin plugin;
}
namespace cni::vlan {
extern const Plugin plugin;
}

namespace cni {

inline constexpr const Plugin* kPlugins[] = {
    &bandwidth::plugin, &bridge::plugin,      &dhcp::plugin,       &dummy::plugin,
    &firewall::plugin,  &host_device::plugin, &host_local::plugin, &ipvlan::plugin,
    &loopback::plugin,  &macvlan::plugin,     &portmap::plugin,    &ptp::plugin,
    &sbr::plugin,       &static_ipam::plugin, &tap::plugin,        &tuning::plugin,
    &vlan::plugin,
};

}  // namespace cni
