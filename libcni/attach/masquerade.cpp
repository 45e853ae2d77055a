// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/masquerade.h"

#include <algorithm>

#include "attach/iptables.h"
#include "base/concat.h"
#include "base/error.h"
#include "host/xtables.h"
#include "nft/change.h"
#include "nft/table.h"

namespace cni {
namespace {

// The reference's nftables backend: one rule per address in this chain, with a comment that begins
// with the owner's tag.
constexpr std::string_view kReferenceChain = "masq_checks";

const nft::Table& reference_table() {
  static const nft::Table table{nft::TableFamily::kInet, "cni_plugins_masquerade"};
  return table;
}

std::vector<nft::StoredRule> reference_rules(Host& host) {
  if (!host.has_nft()) return {};
  if (!nft::has_chain(host.nft(), reference_table(), kReferenceChain)) return {};
  return nft::list_rules(host.nft(), reference_table(), kReferenceChain);
}

void remove_reference_rules(Host& host, const std::function<bool(std::string_view tag)>& chosen) {
  if (!host.has_nft()) return;
  nft::change(host.nft(), "remove masquerading", [&](nft::Transaction& transaction) {
    for (const nft::StoredRule& rule : reference_rules(host)) {
      if (!chosen(Owner::tag_of(rule.comment))) continue;
      nft::delete_rule(transaction, reference_table(), kReferenceChain, rule.handle);
    }
  });
}

}  // namespace

MasqueradeBackend parse_masquerade_backend(const JsonRef& backend) {
  const std::string name = backend.string_or("");
  if (name.empty() || name == "nftables") return MasqueradeBackend::kNftables;
  if (name == "iptables") return MasqueradeBackend::kIptables;
  backend.fail(concat("unknown ipmasq backend ", quote(name)));
}

Masquerade::Masquerade(Host& host, std::string network, Attachment attachment)
    : host_(host),
      network_(std::move(network)),
      attachment_(std::move(attachment)),
      owner_(network_, attachment_.container_id, attachment_.ifname) {}

void Masquerade::add(MasqueradeBackend backend, const std::vector<IpNet>& addresses) {
  if (backend == MasqueradeBackend::kIptables) {
    iptables::add({network_, attachment_.container_id}, addresses);
  } else {
    nft::masquerade::add(host_.nft(), owner_, addresses);
  }
}

void Masquerade::remove(const std::vector<IpAddress>& likely) {
  ErrorList errors;
  errors.attempt("remove masquerading", [&] {
    if (host_.has_nft()) nft::masquerade::remove(host_.nft(), owner_, likely);
  });
  errors.attempt("remove the reference's nftables rules", [&] {
    remove_reference_rules(host_, [&](std::string_view tag) { return tag == owner_.tag(); });
  });
  errors.attempt("remove iptables rules", [&] {
    iptables::remove(host_, {network_, attachment_.container_id}, likely);
  });
  errors.throw_if_any();
}

void Masquerade::check(MasqueradeBackend backend, const std::vector<IpNet>& addresses) {
  const iptables::Target target{network_, attachment_.container_id};
  if (backend == MasqueradeBackend::kIptables) return iptables::check(target, addresses);
  try {
    nft::masquerade::check(host_.nft(), owner_, addresses);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kMismatch) throw;
    // Made before an upgrade?
    const auto rules = reference_rules(host_);
    const auto own = std::ranges::count_if(rules, [&](const nft::StoredRule& rule) {
      return Owner::tag_of(rule.comment) == owner_.tag();
    });
    if (own >= static_cast<std::ptrdiff_t>(addresses.size())) return;
    if (!iptables::may_exist(host_, target)) throw;
    iptables::check(target, addresses);
  }
}

void Masquerade::collect(Host& host, std::string_view network, const OwnerSet& valid) {
  const auto keep = [&](std::string_view tag) { return valid.contains(tag); };
  ErrorList errors;
  errors.attempt("collect masquerading", [&] {
    if (!host.has_nft()) return;
    nft::masquerade::collect(host.nft(), network, keep);
    nft::masquerade::remove_unused(host.nft());
  });
  errors.attempt("collect the reference's nftables rules", [&] {
    const std::string prefix = Owner::network_tag(network);
    remove_reference_rules(
        host, [&](std::string_view tag) { return tag.starts_with(prefix) && !keep(tag); });
  });
  errors.attempt("collect iptables rules", [&] {
    iptables::collect(host, network,
                      [&](std::string_view id) { return valid.contains_container(id); });
  });
  errors.throw_if_any();
}

void Masquerade::probe(Host& host, MasqueradeBackend backend) {
  if (backend == MasqueradeBackend::kIptables) return xtables::require_available();
  nft::masquerade::probe(host.nft());
}

}  // namespace cni
