// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/chained.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"

namespace cni {
namespace {

bool is_of(const Result& result, const IpConfig& ip, std::string_view ifname) {
  if (!ip.interface || *ip.interface < 0) return true;
  const auto index = static_cast<std::size_t>(*ip.interface);
  if (index >= result.interfaces.size()) return true;
  const Interface& interface = result.interfaces[index];
  return interface.name == ifname && !interface.sandbox.empty();
}

}  // namespace

Result required_prev_result(const Request& request, std::string_view plugin) {
  if (auto previous = request.conf.prev_result()) return *std::move(previous);
  throw Error(ErrorCode::kInvalidConfig, "prevResult: missing",
              concat(plugin, " must come after the plugin that makes the interface in a list"));
}

std::vector<IpNet> attachment_addresses(const Result& result, std::string_view ifname) {
  std::vector<IpNet> out;
  for (const IpConfig& ip : result.ips) {
    const bool repeated = std::ranges::find(out, ip.address) != out.end();
    if (!repeated && is_of(result, ip, ifname)) out.push_back(ip.address);
  }
  return out;
}

}  // namespace cni
