// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <vector>

#include "bridge_config.h"
#include "model/result.h"
#include "protocol/request.h"

/// What a layer-3 attachment consists of, derived from its result: the same for ADD and CHECK.
namespace cni::bridge {

inline constexpr int kContainerIndex = 2;  // in result.interfaces: bridge, host end, container

/// Completes IPAM's result: gateways, default routes, and the interface of every address.
[[nodiscard]] Result complete(const Config& conf, Result result);

/// The gateways of the result, each with the prefix of its address, without repetitions.
[[nodiscard]] std::vector<IpNet> gateways_of(const Result& result);
/// The gateways that an IPAM plugin with ranges as host-local has them may hand out; none when the
/// configuration does not say. What cannot be read is passed over: IPAM itself will complain.
[[nodiscard]] std::vector<IpNet> possible_gateways(const Request& request);

}  // namespace cni::bridge
