// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string_view>
#include <vector>

#include "model/result.h"
#include "protocol/request.h"

/// What plugins that follow another one in a list read of its result.
namespace cni {

/// The result of the plugins before. Throws Error{kInvalidConfig} when there is none.
[[nodiscard]] Result required_prev_result(const Request& request, std::string_view plugin);

/// The addresses of the attachment: those without an interface, and those whose interface is the
/// container's `ifname`. An index that points nowhere counts as none. Repetitions are left out:
/// runtimes send them.
[[nodiscard]] std::vector<IpNet> attachment_addresses(const Result& result,
                                                      std::string_view ifname);

}  // namespace cni
