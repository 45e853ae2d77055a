// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attach/detach.h"
#include "base/rollback.h"
#include "host/host.h"
#include "model/owner.h"
#include "netlink/kinds.h"

/// A link that stands in the container alone: nothing of it is on the host. Its alias names the
/// owner.
namespace cni::inner_link {

/// How it is made.
struct Wanted {
  std::string kind;  // the kernel's word
  /// Writes what is the kind's own.
  std::function<void(netlink::Message& data)> fill;
  /// Makes it another way, inside the sandbox: with this name, without a MAC or an MTU.
  std::function<void(const std::string& name)> create;
  netlink::NewLink common;  // name, MAC, MTU
  std::optional<netlink::Link> lower;
  bool lower_in_container = false;
};

/// Throws Error{kConflict} when the container has an interface of this name. To be asked before
/// anything is made.
void require_free(Sandbox& sandbox, const std::string& ifname);

/// Makes the link: labelled, down. `rollback` deletes it.
[[nodiscard]] netlink::Link create(Host& host, Sandbox& sandbox, const Wanted& wanted,
                                   const Owner& owner, Rollback& rollback);

/// Deletes the attachment's link if it is of one of these kinds: by name, unless its alias has
/// another attachment's tag (without one: an ADD was killed, or it is another implementation's);
/// else by the tag, if somebody renamed it. Where the request does not tell the namespace, the
/// record of the ADD does. GC finds the namespaces by the records of the plugin `plugin`.
[[nodiscard]] Piece piece(std::string_view plugin, std::vector<std::string> kinds);

/// Throws KernelError when the kernel cannot make such links. Tries it in a namespace of
/// its own; `has_lower`: on another link.
void probe(const std::string& kind, const std::function<void(netlink::Message& data)>& fill,
           bool has_lower);

}  // namespace cni::inner_link
