// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/json.h"

namespace cni {

/// What a runtime says about an attachment beside the network's configuration.
struct AttachArgs {
  std::string container_id;
  std::string netns;
  std::string ifname;
  std::vector<std::pair<std::string, std::string>> args;  // CNI_ARGS
  Json capability_args = Json::object();  // by capability, before the plugins' own selection

  [[nodiscard]] Attachment attachment() const { return {container_id, ifname}; }
};

struct CachedAttachment {
  std::string network;
  AttachArgs args;
  std::string config;  // the list as it was at ADD
  Json result;         // null when there is none
};

/// The results of ADDs, one file per attachment in <directory>/results, in the format of the
/// reference (kind "cniCacheV1"): either reads what the other wrote. Written atomically. Every
/// function throws Error{kInvalidConfig|kInvalidEnvironment} for names that must not become a path.
class ResultCache {
 public:
  explicit ResultCache(std::string directory) : directory_(std::move(directory)) {}

  /// Throws when the attachment cannot have a cache file: for a check before any work is done.
  void require_storable(std::string_view network, const Attachment& attachment) const;
  void store(const CachedAttachment& entry) const;
  /// nullopt when there is none. A file of another kind is a bare result, as old versions of the
  /// reference wrote it. Throws Error{kDecode} when it is not even JSON.
  [[nodiscard]] std::optional<CachedAttachment> find(std::string_view network,
                                                     const Attachment& attachment) const;
  [[nodiscard]] bool contains(std::string_view network, const Attachment& attachment) const;
  void remove_if_exists(std::string_view network, const Attachment& attachment) const;
  /// Every attachment that can be read, sorted by file name; foreign and broken files are passed
  /// over, also those that are not where their content belongs.
  [[nodiscard]] std::vector<CachedAttachment> list() const;

 private:
  [[nodiscard]] std::string file(std::string_view network, const Attachment& attachment) const;

  std::string directory_;
};

/// Throws unless name, container id and interface name have the form the specification demands.
void require_valid_names(std::string_view network, const Attachment& attachment);

}  // namespace cni
