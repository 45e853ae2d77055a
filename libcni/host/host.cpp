// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "host/host.h"

#include <cerrno>
#include <limits>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "netlink/link.h"
#include "nft/transaction.h"

namespace cni {

using netlink::Socket;

Socket& Host::route() {
  if (!route_) route_ = Socket::open(Socket::Protocol::kRoute);
  return *route_;
}

Socket& Host::nft() {
  if (!nft_) nft_ = Socket::open(Socket::Protocol::kNetfilter);
  return *nft_;
}

void require_permissions(Host& host) {
  // The kernel asks for the permission before it looks for the link.
  netlink::Message harmless = netlink::delete_link(std::numeric_limits<int>::max(), "none");
  harmless.tolerate(ENODEV).tolerate(EPERM);
  host.route().transact(harmless);
  if (harmless.error() == EPERM) throw KernelError(EPERM, "change links (CAP_NET_ADMIN)");
  try {
    host.netns().run([] {});
  } catch (const KernelError& error) {
    throw KernelError(error.error_number(), "enter network namespaces (CAP_SYS_ADMIN)");
  }
}

void require_possible(std::string_view key, const std::function<void()>& probe) {
  try {
    probe();
  } catch (const Error& error) {
    throw Error(error.code(), concat(key, ": ", error.msg()), error.details());
  }
}

bool Host::has_nft() {
  if (has_nft_) return *has_nft_;
  try {
    static_cast<void>(nft::generation(nft()));
    has_nft_ = true;
  } catch (const KernelError& error) {
    // Without nfnetlink, or without the nf_tables part of it.
    if (!error.is(std::errc::protocol_not_supported) &&
        !error.is(std::errc::operation_not_supported) && !error.is(std::errc::invalid_argument)) {
      throw;
    }
    has_nft_ = false;
  }
  return *has_nft_;
}

Sandbox Sandbox::open(const std::string& path, const Host& host, bool own_allowed) {
  NetNs netns = NetNs::open(path);
  if (netns.same_as(host.netns()) && !own_allowed) {
    throw Error(ErrorCode::kInvalidNetns,
                "plugin's netns and netns from CNI_NETNS should not be the same",
                concat("CNI_NETNS: ", quote(path)));
  }
  return {std::move(netns), host};
}

std::optional<Sandbox> Sandbox::open_if_exists(const std::string& path, const Host& host,
                                               bool own_allowed) {
  auto netns = NetNs::open_if_exists(path);
  if (!netns) return std::nullopt;
  if (netns->same_as(host.netns()) && !own_allowed) {
    log::warn(concat("CNI_NETNS is the host's own namespace: ", quote(path)));
    return std::nullopt;
  }
  return Sandbox(*std::move(netns), host);
}

}  // namespace cni
