// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "netlink/socket.h"
#include "netns/netns.h"

namespace cni {

/// The namespace the plugin was started in.
class Host {
 public:
  Host() : netns_(NetNs::current()) {}
  Host(const Host&) = delete;  // a Sandbox refers to it
  Host& operator=(const Host&) = delete;
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
/// Runs a probe, for STATUS; its error gets `key` in front.
void require_possible(std::string_view key, const std::function<void()>& probe);

/// The container's namespace, opened once and never by path again. Lives no longer than the Host.
class Sandbox {
 public:
  /// Throws as NetNs::open, and kInvalidNetns when it is the host's own, unless that is allowed.
  [[nodiscard]] static Sandbox open(const std::string& path, const Host& host,
                                    bool own_allowed = false);
  /// nullopt when there is no such namespace any more. The host's own, unless allowed, counts as
  /// none: DEL must not delete there by name.
  [[nodiscard]] static std::optional<Sandbox> open_if_exists(const std::string& path,
                                                             const Host& host,
                                                             bool own_allowed = false);

  [[nodiscard]] const NetNs& netns() const noexcept { return netns_; }
  [[nodiscard]] netlink::Socket& route() noexcept { return route_; }
  /// Runs fn in the sandbox.
  template <typename F>
  auto run(F&& fn) const {
    return netns_.run_from(*home_, std::forward<F>(fn));
  }

 private:
  Sandbox(NetNs netns, const Host& host)
      : netns_(std::move(netns)),
        home_(&host.netns()),
        route_(run([] { return netlink::Socket::open(netlink::Socket::Protocol::kRoute); })) {}
  NetNs netns_;
  const NetNs* home_;
  netlink::Socket route_;
};

}  // namespace cni
