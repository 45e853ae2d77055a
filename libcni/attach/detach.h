// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>

#include "base/error.h"
#include "host/host.h"
#include "model/owner.h"
#include "protocol/request.h"

/// DEL and GC of the plugins that attach a container by a veth pair, with
/// addresses of an IPAM plugin and masquerading.
namespace cni {

/// Removes masquerading, does what else the plugin has to remove (`more`), deletes the veth pair,
/// and releases the addresses once that is gone. Every step is tried; needs neither a namespace nor
/// prevResult nor a usable configuration. Throws the errors together.
void detach(const Request& request,
            const std::function<void(Host& host, const Owner& owner, ErrorList& errors)>& more);

/// Removes masquerading and veth pairs of the network's attachments that are not valid, does `more`
/// and calls the IPAM plugin's GC, unless a pair is left.
void collect(const Request& request, const OwnerSet& valid,
             const std::function<void(Host& host, ErrorList& errors)>& more);

}  // namespace cni
