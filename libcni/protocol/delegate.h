// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/process.h"
#include "base/rollback.h"
#include "model/result.h"
#include "protocol/request.h"

namespace cni {

/// The first regular file `type` in the ':'-separated directories of `search_path`; an empty
/// element is the current directory. Throws Error: kInvalidConfig for an unusable type,
/// kInvalidEnvironment for an empty path, kDelegate when there is no such file.
[[nodiscard]] std::string find_plugin(std::string_view type, std::string_view search_path);

/// Turns what a plugin left behind into its result text. A failure throws the plugin's own error
/// object (code, msg, details), or kDelegate when there is none to be read.
/// The latter says what the plugin said on stderr.
void require_success(std::string_view plugin, const ExitStatus& status, const std::string& output,
                     std::string_view words);

/// Another plugin of the network, called as the specification's section 4 says: same stdin, same
/// environment except CNI_COMMAND, stderr ours, found over CNI_PATH, killed when we die.
class [[nodiscard]] Delegate {
 public:
  /// Starts the plugin that find_plugin has found at `path` and returns while it runs.
  static Delegate start(const std::string& path, const Request& request, std::string_view type,
                        Command command);

  /// Waits for the end. Throws as require_success.
  void wait();
  /// Waits and reads the result; without cniVersion it is taken in the configuration's version.
  Result wait_result();

 private:
  Delegate(Child child, std::string type, SpecVersion version)
      : child_(std::move(child)), type_(std::move(type)), version_(version) {}
  Child child_;
  std::string type_;
  SpecVersion version_;
};

namespace ipam {

/// An ADD that has to wait for the container's interface.
struct Later {
  const Request* request;
  Rollback* rollback;
};

/// An IPAM ADD: a process under way, or the result of a plugin of our own file, which has run in
/// this process (protocol/suite.h), or one that finish_add() begins.
using Pending = std::variant<Delegate, Result, Later>;

/// Whether the IPAM plugin works over the container's interface: its ADD comes after that is made,
/// its DEL before it is removed. Of all others the DEL comes when no device has the addresses.
[[nodiscard]] bool uses_link(const Request& request);

/// Starts it. Unless `rollback` is committed, the address is released again, also when the ADD
/// itself failed or was never waited for (specification section 4: "DEL after a failed ADD"). A
/// layer-2 network (no ipam.type) gives nullopt.
std::optional<Pending> start_add(const Request& request, Rollback& rollback);
/// Called when the interface is there. Waits; throws Error{kDelegate} when the result holds no
/// address.
Result finish_add(Pending& pending);

// The other verbs, to their end; nothing happens in a layer-2 network.
void check(const Request& request);
void del(const Request& request);
void gc(const Request& request, const OwnerSet& valid);
void status(const Request& request);

}  // namespace ipam
}  // namespace cni
