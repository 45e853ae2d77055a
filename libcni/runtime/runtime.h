// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "protocol/request.h"
#include "runtime/cache.h"
#include "runtime/network.h"

namespace cni {

/// The runtime's side of the protocol: runs the plugins of a network. Errors of plugins keep their
/// code and details; msg says which plugin: 'plugin type="bridge" failed (add): ...'. Names are
/// checked before anything is run. Waits are bounded by the process's Deadline.
class Runtime {
 public:
  /// `environment` is handed to the plugins, CNI_* replaced; `cni_path` is the ':'-separated list
  /// of plugin directories.
  Runtime(Environment environment, std::string cni_path, ResultCache cache)
      : environment_(std::move(environment)),
        cni_path_(std::move(cni_path)),
        cache_(std::move(cache)) {}

  /// The last plugin's result, in the version that plugin used. When a plugin fails, it and those
  /// before it get a DEL, last first, with the last good result; not so when the cache says that
  /// the attachment was there before, because that one would be deleted.
  [[nodiscard]] Json add(const Network& network, const AttachArgs& args) const;
  /// With the cached result. Nothing is run when the list says disableCheck.
  void check(const Network& network, const AttachArgs& args) const;
  /// Last plugin first, with the cached result; one that cannot be used counts as none. Stops at
  /// the first failure; the cache entry goes when all succeeded.
  void del(const Network& network, const AttachArgs& args) const;
  /// DELs every cached attachment of the network that is not valid, then calls every plugin's GC
  /// (from 1.1.0 on). nullopt: no attachment is valid and the plugins are not told anything, as by
  /// the reference's cnitool. Continues after failures and throws them together.
  void gc(const Network& network, const ValidAttachments& valid) const;
  /// Stops at the first failure. Nothing is run before 1.1.0.
  void status(const Network& network) const;

  struct PluginVersions {
    std::string type;
    std::string path;
    std::vector<std::string> versions;
  };
  [[nodiscard]] std::vector<PluginVersions> versions(const Network& network) const;

 private:
  std::string call(const Json& plugin, Command command, const AttachArgs& args,
                   const Json& config) const;
  void del_plugin(const Network& network, const Json& plugin, const AttachArgs& args,
                  const Json& prev_result) const;
  Json cached_result(const Network& network, const AttachArgs& args) const;
  void gc_plugins(const Network& network, const ValidAttachments& valid, ErrorList& errors) const;

  Environment environment_;
  std::string cni_path_;
  ResultCache cache_;
};

/// What a plugin reads from stdin: its object with name, cniVersion, prevResult (unless null) and
/// runtimeConfig (those of capability_args that its "capabilities" ask for; when none, what the
/// file has), without "capabilities". Numbers stay as written.
[[nodiscard]] Json plugin_config(const Network& network, const Json& plugin,
                                 const Json& prev_result, const Json& capability_args);

}  // namespace cni
