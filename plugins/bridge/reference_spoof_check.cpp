// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "reference_spoof_check.h"

#include <algorithm>
#include <string_view>

#include "base/concat.h"
#include "nft/change.h"
#include "nft/table.h"

namespace cni::nft::reference_spoof_check {
namespace {

using netlink::Socket;

constexpr std::string_view kBaseChain = "PREROUTING";
constexpr std::string_view kPrefix = "cni-br-iface-";
constexpr std::size_t kMaxChainName = 255;

const Table& table() {
  static const Table table{TableFamily::kBridge, "nat"};
  return table;
}

std::string chain_of(const Attachment& attachment) {
  return concat(kPrefix, attachment.container_id, "-", attachment.ifname);
}

std::string mac_chain_of(std::string_view chain) { return concat(chain, "-mac"); }

/// The port that a jump of the base chain is for.
std::string port_of(const StoredRule& jump) {
  if (jump.constants.empty()) return {};
  const auto& name = jump.constants.front();
  return {name.begin(), std::ranges::find(name, 0)};
}

/// The jumps of the base chain that are `chosen`, and all that is behind them.
void remove_jumps(Socket& socket, const std::function<bool(const StoredRule&)>& chosen) {
  change(socket, "remove the reference's spoof check", [&](Transaction& transaction) {
    std::vector<std::string> chains;
    for (const StoredRule& rule : list_rules(socket, table(), kBaseChain)) {
      if (!rule.jump.starts_with(kPrefix) || !chosen(rule)) continue;
      delete_rule(transaction, table(), kBaseChain, rule.handle);
      // An ADD that was repeated has made its jump twice.
      if (std::ranges::find(chains, rule.jump) == chains.end()) chains.push_back(rule.jump);
    }
    for (const std::string& chain : chains) {
      delete_chain(transaction, table(), chain);
      const std::string mac_chain = mac_chain_of(chain);
      if (has_chain(socket, table(), mac_chain)) delete_chain(transaction, table(), mac_chain);
    }
  });
}

}  // namespace

void remove(Socket& socket, const Attachment& attachment) {
  const std::string chain = chain_of(attachment);
  if (mac_chain_of(chain).size() > kMaxChainName || !has_chain(socket, table(), chain)) return;
  remove_jumps(socket, [&](const StoredRule& rule) { return rule.jump == chain; });
}

bool holds(Socket& socket, const Attachment& attachment, const std::string& port, const Mac& mac) {
  const std::string chain = chain_of(attachment);
  const std::string mac_chain = mac_chain_of(chain);
  if (mac_chain.size() > kMaxChainName || !has_chain(socket, table(), chain)) return false;
  const auto jumps = [&](std::string_view from, std::string_view to, std::string_view only_port) {
    return std::ranges::any_of(list_rules(socket, table(), from), [&](const StoredRule& rule) {
      return rule.jump == to && port_of(rule) == only_port;
    });
  };
  const auto last = list_rules(socket, table(), mac_chain);
  const std::vector<std::uint8_t> address(mac.bytes.begin(), mac.bytes.end());
  return jumps(kBaseChain, chain, port) && jumps(chain, mac_chain, "") && last.size() == 2 &&
         last.front().constants == decltype(StoredRule::constants){address} &&
         last.back().constants.empty();
}

void collect(Socket& socket, const std::vector<Attachment>& valid,
             const std::function<bool(const std::string& port)>& exists) {
  std::vector<std::string> keep;
  for (const Attachment& attachment : valid) keep.push_back(chain_of(attachment));
  std::ranges::sort(keep);
  remove_jumps(socket, [&](const StoredRule& rule) {
    return !std::ranges::binary_search(keep, rule.jump) && !port_of(rule).empty() &&
           !exists(port_of(rule));
  });
}

}  // namespace cni::nft::reference_spoof_check
