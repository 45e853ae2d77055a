// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "host/host.h"
#include "model/owner.h"
#include "protocol/request.h"

/// DEL and GC of the plugins that make an interface, with addresses of an IPAM
/// plugin.
namespace cni {

/// What DEL works on.
struct Detaching {
  const Request& request;
  Host& host;
  std::optional<Sandbox>& sandbox;  // none when it is gone
  const Owner& owner;
};
/// What GC works on.
struct Collecting {
  const Request& request;
  Host& host;
  const OwnerSet& valid;
};

/// A part of an attachment that outlives its ADD. Either function may be empty.
struct Piece {
  std::string_view what;  // for messages
  std::function<void(const Detaching&)> remove;
  /// Of the network's attachments that are not valid.
  std::function<void(const Collecting&)> collect;
  bool uses_addresses = false;  // they are not released as long as it is there
};

/// Masquerading of the attachment's addresses, whichever way it was done.
[[nodiscard]] Piece masquerading();
/// The veth pair.
[[nodiscard]] Piece veth_pair();

/// Removes the pieces, in order, and releases the addresses. Every step is tried; needs neither a
/// namespace nor prevResult nor a usable configuration. Throws the errors together.
void detach(const Request& request, std::span<const Piece> pieces);

/// Collects the pieces, in order, and calls the IPAM plugin's GC.
void collect(const Request& request, const OwnerSet& valid, std::span<const Piece> pieces);

}  // namespace cni
