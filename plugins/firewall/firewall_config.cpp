// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "firewall_config.h"

#include <algorithm>

#include "backends.h"
#include "base/concat.h"
#include "base/error.h"

namespace cni::firewall {
namespace {

constexpr std::size_t kMaxChainName = 28;  // of iptables

std::string parse_backend(const JsonRef& json) {
  std::string name = json.string_or("");
  const bool known =
      std::ranges::any_of(kBackends, [&](const Backend& backend) { return name == backend.name; });
  if (name.empty() || known) return name;
  json.fail(concat("unknown firewall backend ", quote(name),
                   "; known are \"nftables\", \"iptables\" and \"firewalld\""));
}

std::optional<isolation::Policy> parse_policy(const JsonRef& json) {
  const std::string name = json.string_or("");
  if (name.empty() || name == "open") return std::nullopt;
  if (name == "same-bridge") return isolation::Policy::kSameBridge;
  if (name == "isolated") return isolation::Policy::kIsolated;
  json.fail(concat("unknown ingress policy: ", quote(name)));
}

/// A name that goes into lines for iptables-restore, or to firewalld.
std::string parse_word(const JsonRef& json, const std::string& absent, std::size_t limit) {
  const std::string word = json.string_or("");
  if (word.empty()) return absent;
  const bool odd = std::ranges::any_of(
      word, [](char c) { return c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\'; });
  if (odd || word.size() > limit || word.front() == '-' || word.front() == '!') {
    json.fail(concat("not a name of at most ", limit, " characters: ", quote(word)));
  }
  return word;
}

template <typename F>
void if_usable(F&& parse) {
  try {
    parse();
  } catch (const Error&) {
    // The configuration may have been changed since ADD: what was made is found without it.
  }
}

}  // namespace

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  out.backend = parse_backend(root["backend"]);
  out.policy = parse_policy(root["ingressPolicy"]);
  out.admin_chain = parse_word(root["iptablesAdminChainName"], out.admin_chain, kMaxChainName);
  out.zone = parse_word(root["firewalldZone"], out.zone, 255);
  return out;
}

Config Config::parse_leniently(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  if_usable([&] { out.backend = parse_backend(root["backend"]); });
  if_usable([&] { out.policy = parse_policy(root["ingressPolicy"]); });
  if_usable([&] {
    out.admin_chain = parse_word(root["iptablesAdminChainName"], out.admin_chain, kMaxChainName);
  });
  if_usable([&] { out.zone = parse_word(root["firewalldZone"], out.zone, 255); });
  return out;
}

}  // namespace cni::firewall
