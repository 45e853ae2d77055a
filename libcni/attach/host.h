// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "netlink/socket.h"
#include "netns/netns.h"
#include "protocol/request.h"

namespace cni {

/// The namespace the plugin was started in.
class Host {
 public:
  Host() : netns_(NetNs::current()) {}
  [[nodiscard]] const NetNs& netns() const noexcept { return netns_; }
  /// rtnetlink and nf_tables sockets of this namespace, opened on first use.
  [[nodiscard]] netlink::Socket& route();
  [[nodiscard]] netlink::Socket& nft();
  /// False when this kernel has no nf_tables: then nothing of ours can be there. Asked once.
  [[nodiscard]] bool has_nft();

 private:
  NetNs netns_;
  std::optional<netlink::Socket> route_;
  std::optional<netlink::Socket> nft_;
  std::optional<bool> has_nft_;
};

/// Throws KernelError(EPERM) when this process may not do what attaching a container needs: change
/// links (CAP_NET_ADMIN), enter namespaces (CAP_SYS_ADMIN). Changes nothing.
void require_permissions(Host& host);

/// The container's namespace, opened once and never by path again.
class Sandbox {
 public:
  /// Throws as NetNs::open, and kInvalidNetns when it is the host's own (unless
  /// CNI_NETNS_OVERRIDE).
  [[nodiscard]] static Sandbox open(const Request& request, const Host& host);
  /// nullopt when there is no such namespace any more. The host's own counts as none: DEL must not
  /// delete there by name.
  [[nodiscard]] static std::optional<Sandbox> open_if_exists(const Request& request,
                                                             const Host& host);

  [[nodiscard]] const NetNs& netns() const noexcept { return netns_; }
  [[nodiscard]] netlink::Socket& route() noexcept { return route_; }

 private:
  explicit Sandbox(NetNs netns)
      : netns_(std::move(netns)),
        route_(netlink::Socket::open_in(netns_, netlink::Socket::Protocol::kRoute)) {}
  NetNs netns_;
  netlink::Socket route_;
};

}  // namespace cni
