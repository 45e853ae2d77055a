// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "commands.h"

namespace cnitool {
namespace {

/// The list as it is, or as it was at ADD: an attachment outlives the file that it was made from.
cni::Network load_or_recall(const Options& options, const cni::AttachArgs& args) {
  try {
    return load(options);
  } catch (const cni::Error& error) {
    try {
      const auto entry = cache(options).find(options.network, args.attachment());
      if (entry && !entry->config.empty()) {
        cni::Network network = cni::parse_network_list(entry->config);
        if (!network.plugins.empty()) {
          cni::log::warn(cni::concat("using the configuration kept at ADD: ", error.what()));
          return network;
        }
      }
    } catch (const cni::Error& unusable) {
      cni::log::warn(unusable.what());
    }
    throw;
  }
}

}  // namespace

void del(const Options& options) {
  const cni::AttachArgs args = attach_args(options);
  runtime(options).del(load_or_recall(options, args), args);
}

}  // namespace cnitool
