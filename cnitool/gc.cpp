// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "commands.h"

namespace cnitool {
namespace {

/// "CONTAINER:IFNAME", or "CONTAINER" for all its cached interfaces on this network (eth0 when
/// there are none).
std::vector<cni::Attachment> attachments_to_keep(const Options& options) {
  std::vector<cni::Attachment> out;
  const std::vector<cni::CachedAttachment> cached = cache(options).list();
  for (const std::string& keep : options.keep) {
    const auto colon = keep.find(':');
    const std::string container = keep.substr(0, colon);
    const std::size_t before = out.size();
    if (colon != keep.npos) {
      out.push_back({container, keep.substr(colon + 1)});
    } else {
      for (const cni::CachedAttachment& entry : cached) {
        if (entry.network != options.network || entry.args.container_id != container) continue;
        out.push_back(entry.args.attachment());
      }
      if (out.size() == before) out.push_back({container, "eth0"});
    }
    for (std::size_t i = before; i < out.size(); ++i) {
      cni::require_valid_names(options.network, out[i]);
    }
  }
  return out;
}

}  // namespace

void gc(const Options& options) {
  runtime(options).gc(load(options), attachments_to_keep(options));
}

}  // namespace cnitool
