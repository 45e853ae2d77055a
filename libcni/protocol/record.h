// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_lock.h"
#include "model/owner.h"
#include "protocol/request.h"

/// What live attachments were made with, so that their host rules can be made again after somebody
/// flushed them, without the runtime: one file for each attachment and plugin that has rules,
/// /run/cnipp/attachments/<owner tag>.<plugin>. Like the rules, they do not outlive a reboot.
namespace cni::record {

struct Record {
  std::string plugin;
  std::string network;
  Attachment attachment;
  std::string netns;
  std::string netns_id;  // "device:inode" of the namespace
  std::string args;      // CNI_ARGS
  std::string path;      // CNI_PATH
  Json config;           // the configuration, the ADD's result in prevResult

  /// The path still names the namespace of the ADD.
  [[nodiscard]] bool is_live() const;
};

/// Replaces the plugin's record of the attachment, at once and as a whole: killed at any point it
/// leaves the old one, none, or the new one; on failure there is none. `result` is what ADD
/// answers. Throws KernelError.
void save(std::string_view plugin, const Request& request, const Json& result);

/// A record that nobody else removes or restores meanwhile.
class [[nodiscard]] Held {
 public:
  /// What it says; throws Error when it is damaged.
  [[nodiscard]] Record read() const;
  /// On a read-only /run it stays, which is said.
  void remove() const;

 private:
  friend std::vector<Held> hold(std::string_view plugin, const Request& request);
  friend std::vector<Held> hold_others(std::string_view plugin, std::string_view network,
                                       const OwnerSet& valid);
  static void append(std::vector<Held>& held, std::string path);
  Held(FileLock lock, std::string path) : lock_(std::move(lock)), path_(std::move(path)) {}

  FileLock lock_;
  std::string path_;
};

/// The plugin's record of the attachment; none when there is none (any more). Waits within the
/// verb's Deadline.
[[nodiscard]] std::vector<Held> hold(std::string_view plugin, const Request& request);
/// The same, to be read only; nullopt when there is none. Throws Error when it is damaged.
[[nodiscard]] std::optional<Record> find(std::string_view plugin, const Request& request);
/// The plugin's records of the network's attachments that are not among `valid`.
[[nodiscard]] std::vector<Held> hold_others(std::string_view plugin, std::string_view network,
                                            const OwnerSet& valid);

/// All records, in the order in which the plugins were called. Damaged ones are reported in the log
/// and left out.
[[nodiscard]] std::vector<Record> list();

}  // namespace cni::record
