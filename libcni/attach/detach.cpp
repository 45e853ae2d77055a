// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/detach.h"

#include <optional>

#include "attach/layer3.h"
#include "attach/masquerade.h"
#include "attach/veth.h"
#include "base/concat.h"
#include "netlink/address.h"
#include "protocol/delegate.h"

namespace cni {
namespace {

/// Addresses the attachment may have had: from what the runtime remembers, else from the container.
std::vector<IpAddress> likely_addresses(const Request& request, std::optional<Sandbox>& sandbox) {
  std::vector<IpAddress> out;
  if (const auto previous = request.conf.prev_result_if_usable()) {
    for (const IpConfig& ip : previous->ips) out.push_back(ip.address.address);
  }
  if (!out.empty() || !sandbox) return out;
  const auto link = netlink::find_link(sandbox->route(), request.ifname);
  if (!link) return out;
  for (const netlink::Address& address : netlink::list_addresses(sandbox->route(), link->ifindex)) {
    if (!address.net.address.is_link_local()) out.push_back(address.net.address);
  }
  return out;
}

}  // namespace

void detach(const Request& request,
            const std::function<void(Host& host, const Owner& owner, ErrorList& errors)>& more) {
  const Owner owner = request.owner();
  Host host;
  ErrorList errors;
  std::optional<Sandbox> sandbox;
  errors.attempt("open netns", [&] {
    sandbox = Sandbox::open_if_exists(request.netns, host, request.netns_override);
  });
  // nf_tables first: the kernel frees what was removed while it takes its time over the link.
  errors.attempt("remove masquerading",
                 [&] { masquerade_of(host, request).remove(likely_addresses(request, sandbox)); });
  more(host, owner, errors);
  const bool gone = errors.attempt("delete the veth pair",
                                   [&] { delete_veth(host, sandbox, request.ifname, owner); });
  // Never while a device may still use the addresses.
  if (gone) errors.attempt("release addresses", [&] { ipam::del(request); });
  errors.throw_if_any();
}

void collect(const Request& request, const OwnerSet& valid,
             const std::function<void(Host& host, ErrorList& errors)>& more) {
  Host host;
  ErrorList errors;
  errors.attempt("collect masquerading",
                 [&] { Masquerade::collect(host, request.conf.name, valid); });
  const bool gone = errors.attempt("collect veth pairs", [&] {
    collect_veths(host, request.conf.name,
                  [&](std::string_view tag) { return valid.contains(tag); });
  });
  more(host, errors);
  // As in detach; the next GC does it.
  if (gone) errors.attempt("collect addresses", [&] { ipam::gc(request, valid); });
  errors.throw_if_any();
}

}  // namespace cni
