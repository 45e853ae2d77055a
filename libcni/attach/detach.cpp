// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/detach.h"

#include <optional>

#include "attach/veth.h"
#include "base/concat.h"
#include "base/error.h"
#include "masquerade/masquerade.h"
#include "netlink/address.h"
#include "protocol/delegate.h"

namespace cni {
namespace {

/// Addresses the attachment may have had: from what the runtime remembers, else from the container.
std::vector<IpAddress> likely_addresses(const Detaching& at) {
  std::vector<IpAddress> out;
  if (const auto previous = at.request.conf.prev_result_if_usable()) {
    for (const IpConfig& ip : previous->ips) out.push_back(ip.address.address);
  }
  if (!out.empty() || !at.sandbox) return out;
  const auto link = netlink::find_link(at.sandbox->route(), at.request.ifname);
  if (!link) return out;
  for (const netlink::Address& address :
       netlink::list_addresses(at.sandbox->route(), link->ifindex)) {
    if (!address.net.address.is_link_local()) out.push_back(address.net.address);
  }
  return out;
}

}  // namespace

Piece masquerading() {
  return {.what = "masquerading",
          .remove =
              [](const Detaching& at) {
                masquerade::remove(at.host, at.request, likely_addresses(at));
              },
          .collect =
              [](const Collecting& at) {
                masquerade::collect(at.host, at.request.conf.name, at.valid);
              }};
}

Piece veth_pair() {
  return {.what = "veth pair",
          .remove =
              [](const Detaching& at) {
                delete_veth(at.host, at.sandbox, at.request.ifname, at.owner);
              },
          .collect =
              [](const Collecting& at) {
                collect_veths(at.host, at.request.conf.name,
                              [&](std::string_view tag) { return at.valid.contains(tag); });
              },
          .uses_addresses = true};
}

void detach(const Request& request, std::span<const Piece> pieces) {
  const Owner owner = request.owner();
  Host host;
  ErrorList errors;
  std::optional<Sandbox> sandbox;
  errors.attempt("open netns", [&] {
    sandbox = Sandbox::open_if_exists(request.netns, host, request.netns_override);
  });
  const auto release = [&] { errors.attempt("release addresses", [&] { ipam::del(request); }); };
  const bool before = ipam::uses_link(request);
  if (before) release();
  bool unused = true;
  for (const Piece& piece : pieces) {
    if (!piece.remove) continue;
    const bool gone = errors.attempt(concat("remove ", piece.what), [&] {
      piece.remove({request, host, sandbox, owner});
    });
    unused = unused && (gone || !piece.uses_addresses);
  }
  // Never while a device may still use the addresses.
  if (unused && !before) release();
  errors.throw_if_any();
}

void collect(const Request& request, const OwnerSet& valid, std::span<const Piece> pieces) {
  Host host;
  ErrorList errors;
  const auto release = [&] {
    errors.attempt("collect addresses", [&] { ipam::gc(request, valid); });
  };
  const bool before = ipam::uses_link(request);
  if (before) release();
  bool unused = true;
  for (const Piece& piece : pieces) {
    if (!piece.collect) continue;
    const bool gone = errors.attempt(concat("collect ", piece.what), [&] {
      piece.collect({request, host, valid});
    });
    unused = unused && (gone || !piece.uses_addresses);
  }
  // As in detach; the next GC does it.
  if (unused && !before) release();
  errors.throw_if_any();
}

}  // namespace cni
