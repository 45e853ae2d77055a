// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// dummy: a link in the container that leads nowhere, to hold addresses.
//
// On the host:     a record of the attachment
// In the sandbox:  <CNI_IFNAME> labelled with the owner, with the addresses and routes of IPAM
// Options and examples: docs/plugins/dummy.md
#include "attach/link_plugin.h"
#include "plugins.h"

namespace cni::dummy {
namespace {

constexpr char kName[] = "dummy";

link_plugin::Spec parse(const Request& request) {
  return {.kind = kName, .keys = link_plugin::parse_keys(request, {.mac = true})};
}

}  // namespace

const Plugin plugin = link_plugin::kPlugin<parse, kName>;

}  // namespace cni::dummy
