// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/rollback.h"
#include "host/host.h"
#include "model/owner.h"
#include "model/result.h"
#include "netlink/link.h"
#include "protocol/request.h"

namespace cni {

/// The host end's name, the same for every call about one attachment: DEL finds it without the
/// container. "veth" and 11 hex digits of a hash of the owner's tag.
[[nodiscard]] std::string host_veth_name(const Owner& owner);

struct VethPair {
  netlink::Link host;       // in the host's namespace
  netlink::Link container;  // in the sandbox
};

struct VethOptions {
  int master = 0;  // ifindex of a bridge, 0: none
  unsigned mtu = 0;
  std::optional<Mac> container_mac;
  netlink::LinkChange port;  // further settings of the host end
  bool routed = false;       // the host end routes: no duplicate address detection on it
};

/// Throws Error{kConflict} when the attachment exists: the container has an interface of this name,
/// or the host end of this owner is connected. To be asked before anything is made, since undoing
/// by owner would hit the existing attachment.
void require_not_attached(Host& host, Sandbox& sandbox, const std::string& ifname,
                          const Owner& owner);

/// Creates the pair: host end up, labelled with the owner, ignoring router advertisements;
/// container end down. `rollback` deletes it. A pair that an interrupted ADD of the same attachment
/// left is replaced. nullopt when the master is gone. Throws Error{kConflict} when the container
/// has an interface of this name.
std::optional<VethPair> create_veth(Host& host, Sandbox& sandbox, const std::string& ifname,
                                    const Owner& owner, const VethOptions& options,
                                    Rollback& rollback);

/// The host end of this attachment, found by name and label; then, if `thorough`, among all veths
/// by label alone.
[[nodiscard]] std::optional<netlink::Link> find_host_veth(Host& host, const Owner& owner,
                                                          bool thorough);

/// As find_host_veth by name and label; throws Error{kUnknownContainer} when it is gone.
[[nodiscard]] netlink::Link get_host_veth(Host& host, const Owner& owner);

/// The container's end as prevResult reports it: a veth with its MAC and MTU. Throws
/// Error{kMismatch}.
[[nodiscard]] netlink::Link check_container_veth(Sandbox& sandbox, const Request& request,
                                                 const Result& previous);
/// The host end that prevResult reports, whatever its name: up, and the peer of the container's
/// end. Throws Error{kMismatch}.
[[nodiscard]] netlink::Link check_host_veth(Host& host, const Result& previous,
                                            const netlink::Link& container);

/// Deletes the pair from whichever end is found. Succeeds when there is none. In the container only
/// a veth that is not labelled as another attachment's is taken.
void delete_veth(Host& host, std::optional<Sandbox>& sandbox, const std::string& ifname,
                 const Owner& owner);

/// Deletes the pairs of the network's owners for which keep(tag) is false.
void collect_veths(Host& host, std::string_view network,
                   const std::function<bool(std::string_view tag)>& keep);

}  // namespace cni
