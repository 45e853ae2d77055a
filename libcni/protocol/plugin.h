// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/owner.h"
#include "model/result.h"
#include "protocol/request.h"

namespace cni {

/// A plugin is a name and a function for each verb. Functions report by throwing Error; what else
/// they throw becomes code 999. Every verb of the specification is set: there are no silent verbs.
struct Plugin {
  std::string_view name;
  Result (*add)(const Request&);
  void (*check)(const Request&);
  void (*del)(const Request&);
  /// Called only where the runtime has said what is valid.
  void (*gc)(const Request&, const OwnerSet& valid);
  /// What the kernel or a file refuses and what others have in use becomes kNotAvailable.
  void (*status)(const Request&);
  /// For plugins with rules in the host's firewall, which others flush. `has_rules` says whether an
  /// attachment with this configuration has any; then its ADD is recorded (protocol/record.h), and
  /// `restore` can be asked to make the rules again, with the ADD's configuration and its result in
  /// prevResult: CNI_COMMAND=RESTORE, ours alone, used by `cnitool reload`. Idempotent.
  bool (*has_rules)(const Request&) = nullptr;
  void (*restore)(const Request&) = nullptr;
  /// Of an IPAM plugin: its ADD and DEL work over the container's interface, which must be there.
  bool uses_link = false;
  /// What runs as `<name> daemon`, with the arguments that follow; the exit status.
  int (*daemon)(std::span<const char* const> arguments) = nullptr;
};

/// The CNI error object (specification section 5, "Error") as text.
[[nodiscard]] std::string error_object(const Error& error, SpecVersion version);

/// Runs one call as data: environment and stdin in, stdout and stderr out. Returns the exit status:
/// 0, or 1 with a CNI error object on stdout. `read_input` is called at most once, and not at all
/// for VERSION.
int run(const Plugin& plugin, const Environment& environment,
        const std::function<std::string()>& read_input, std::string& out, std::string& err);

}  // namespace cni
