// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "holders.h"
#include "host/host.h"
#include "model/owner.h"
#include "model/result.h"
#include "portmap_config.h"
#include "ports.h"

namespace cni::portmap {

/// What ADD and CHECK work on.
struct Job {
  const Request& request;
  Config conf;
  std::vector<IpNet> addresses;
  Host host;
  Owner owner;
  Ports ports;
  Holders holders{host, request};

  Job(const Request& r, Config c, const Result& previous);
};

/// What an ADD may have made, also one that threw: what the caller has to undo.
struct Changes {
  bool nftables = false, iptables = false;
};

/// A way to publish ports. DEL and GC go through all of them: it may have been another one at ADD.
struct Backend {
  std::string_view name;
  /// For a container whose ports are published by another one: throws Error{kConflict}.
  void (*require_free)(Job&);
  /// The rules, and those that close the host's loopback to neighbours. Returns whether they do.
  bool (*add)(Job&, Changes&);
  /// Throws Error{kMismatch}. Returns whether the loopback is to be open.
  bool (*check)(Job&);
  /// `likely` is what the attachment may have.
  Removed (*remove)(Host&, const Request&, const Ports& likely);
  Removed (*collect)(Host&, std::string_view network, const OwnerSet& valid);
  /// Throws Error{kNotAvailable}.
  void (*require_usable)(Host&);
};
extern const std::array<Backend, 2> kBackends;

/// The one of the configuration.
[[nodiscard]] const Backend& backend_of(const Config& conf);
/// Takes back what ADD changed.
void undo(Job& job, const Changes& changes);

/// Removes what all attachments share in nf_tables when none has anything there and nothing is
/// open.
void remove_unused(Host& host);

/// What the attachment may have in nf_tables.
[[nodiscard]] Ports ports_of(const Config& conf, const std::vector<IpNet>& addresses);
/// Whether what the reference made before an upgrade, with either backend, publishes the ports.
/// Throws Error{kMismatch} when it does so no more.
[[nodiscard]] bool is_of_reference(Job& job);

}  // namespace cni::portmap
