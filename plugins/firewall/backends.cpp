// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "backends.h"

#include <algorithm>

#include "accept_firewalld.h"
#include "accept_iptables.h"
#include "accept_nftables.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "host/xtables.h"
#include "place.h"
#include "protocol/chained.h"

namespace cni::firewall {
namespace {

constexpr std::size_t kMaxAddresses = 1024;  // each has rules of its own with iptables

using isolation::Policy;

nftables::Selector selector_of(const Job& job) { return {job.place.link, job.addresses}; }

iptables::Rules iptables_rules(const Job& job, bool recorded = true) {
  iptables::Rules out{.addresses = job.addresses,
                      .admin_chain = job.conf.admin_chain,
                      .link = {},
                      .policy = {},
                      .recorded = recorded};
  if (!job.conf.policy) return out;
  out.link = job.place.link;
  out.policy = job.conf.policy == Policy::kIsolated ? "isolated" : "same-bridge";
  return out;
}

bool is_firewalld(const ForwardFilter& filter) {
  return filter.kind == ForwardFilter::Kind::kFirewalld;
}

/// Where an address that the reference gave to firewalld, which nothing records, must be removed
/// from: "" where there is no such thing.
std::string zone_of_reference(Leaving leaving) {
  if (leaving.conf.backend == "firewalld") return leaving.conf.zone;
  if (!leaving.conf.backend.empty() || !leaving.host.has_nft()) return {};
  const auto filters = list_forward_filters(leaving.host.nft());
  return std::ranges::any_of(filters, is_firewalld) ? leaving.conf.zone : std::string{};
}

/// Whether firewalld's rules are in this network namespace: its daemon may be in another.
bool has_rules_of_firewalld(Host& host, const std::vector<ForwardFilter>& filters) {
  return std::ranges::any_of(filters, is_firewalld) ||
         xtables::may_have_chain(host, Family::kV4, "filter", "FORWARD_direct");
}

void add_to_firewalld(Job& job) {
  firewalld::require_running();
  const auto filters =
      job.host.has_nft() ? list_forward_filters(job.host.nft()) : std::vector<ForwardFilter>{};
  if (!has_rules_of_firewalld(job.host, filters)) {
    throw Error(ErrorCode::kNotAvailable, "firewalld's rules are not in this network namespace",
                "its daemon runs in another one, and cannot accept anything here");
  }
  firewalld::add(job.owner, job.addresses, job.conf.zone);
}

constexpr Backend kNftables{
    .name = "nftables",
    .tells = ForwardFilter::Kind::kIptables,
    .add =
        [](Job& job, Rollback& rollback) {
          if (!nftables::has(job.host.nft(), job.owner)) {
            rollback.on_failure("remove accepting rules",
                                [&job] { nftables::remove(job.host.nft(), job.owner); });
          }
          nftables::add(job.host.nft(), job.owner, selector_of(job), job.conf.admin_chain);
        },
    .check =
        [](Job& job, bool ours) {
          if (!ours) return iptables::check(job.owner, iptables_rules(job, false));
          nftables::check(job.host.nft(), job.owner, selector_of(job), job.conf.admin_chain);
        },
    .remove =
        [](Leaving leaving, const Owner& owner, const std::vector<IpAddress>&) {
          if (leaving.host.has_nft()) nftables::remove(leaving.host.nft(), owner);
        },
    .collect =
        [](Leaving leaving, std::string_view network, const Keep& keep) {
          if (leaving.host.has_nft()) nftables::collect(leaving.host.nft(), network, keep);
        },
    .remove_unused =
        [](Leaving leaving) {
          if (!leaving.host.has_nft()) return;
          nftables::remove_unused(leaving.host.nft(), leaving.conf.admin_chain);
        },
    .require_usable = [](Host&) {},
    .isolates_with_nft = [](Host&, Policy) { return true; }};

constexpr Backend kIptables{
    .name = "iptables",
    .tells = ForwardFilter::Kind::kIptables,
    .add = [](Job& job, Rollback&) { iptables::add(job.host, job.owner, iptables_rules(job)); },
    .check = [](Job& job, bool ours) { iptables::check(job.owner, iptables_rules(job, ours)); },
    .remove =
        [](Leaving leaving, const Owner& owner, const std::vector<IpAddress>& addresses) {
          iptables::remove(leaving.host, owner, addresses);
        },
    .collect = [](Leaving leaving, std::string_view network,
                  const Keep& keep) { iptables::collect(leaving.host, network, keep); },
    .remove_unused = [](Leaving leaving) { iptables::remove_unused(leaving.host); },
    .require_usable = [](Host&) { xtables::require_available(); },
    .isolates_with_nft =
        [](Host& host, Policy policy) {
          if (policy != Policy::kIsolated || host.has_nft()) return policy == Policy::kIsolated;
          log::warn(
              "this kernel has no nf_tables: between ports of a bridge only br_netfilter isolates");
          return false;
        }};

constexpr Backend kFirewalld{
    .name = "firewalld",
    .tells = ForwardFilter::Kind::kFirewalld,
    .add = [](Job& job, Rollback&) { add_to_firewalld(job); },
    .check = [](Job& job, bool) { firewalld::check(job.owner, job.addresses, job.conf.zone); },
    .remove =
        [](Leaving leaving, const Owner& owner, const std::vector<IpAddress>& addresses) {
          firewalld::remove(owner, addresses, zone_of_reference(leaving));
        },
    .collect = [](Leaving, std::string_view network,
                  const Keep& keep) { firewalld::collect(network, keep); },
    .remove_unused = [](Leaving) {},
    .require_usable =
        [](Host&) {
          try {
            firewalld::require_running();
          } catch (const Error& error) {  // also: a bus that does not answer in time
            throw Error(ErrorCode::kNotAvailable, error.msg(), error.details());
          }
        },
    .isolates_with_nft = [](Host&, Policy) { return true; }};

/// Without a backend in the configuration: firewalld where its rules are and it does what it is
/// asked, for nobody else can accept for it; iptables' programs where its older variant has the
/// filter table, which only they can change; else we ourselves.
std::string_view choose(Host& host, const std::vector<ForwardFilter>& filters) {
  if (!host.has_nft()) return kIptables.name;
  if (has_rules_of_firewalld(host, filters) &&
      firewalld::is_running(std::ranges::any_of(filters, is_firewalld))) {
    return kFirewalld.name;
  }
  const bool legacy = std::ranges::any_of(xtables::kFamilies, [](Family family) {
    return xtables::may_have_legacy_table(family, "filter");
  });
  return legacy ? kIptables.name : kNftables.name;
}

}  // namespace

constinit const std::array<Backend, 3> kBackends{kNftables, kIptables, kFirewalld};

Job::Job(const Request& r)
    : request(r),
      conf(Config::parse(r)),
      owner(r.owner()),
      previous(required_prev_result(r, "firewall")),
      place(place_of(host, previous)),
      addresses(addresses_of(previous)) {
  if (addresses.size() > kMaxAddresses) {
    throw Error(ErrorCode::kInvalidConfig, concat("prevResult.ips: more than ", kMaxAddresses,
                                                  " addresses: ", addresses.size()));
  }
  if (conf.policy && place.link.empty()) {
    request.conf.root()["ingressPolicy"].fail(
        "prevResult.interfaces has no interface on the host: there is no bridge to keep apart");
  }
}

Plan plan(Host& host, const Config& conf) {
  Plan out;
  if (host.has_nft()) out.obstacles = list_forward_filters(host.nft());
  const std::string_view name = conf.backend.empty() ? choose(host, out.obstacles) : conf.backend;
  out.backend = &*std::ranges::find(kBackends, name, &Backend::name);
  std::erase_if(out.obstacles, [&](const ForwardFilter& filter) {
    if (is_firewalld(filter)) return out.backend->tells == filter.kind;
    return filter.kind != ForwardFilter::Kind::kForeign || !filter.drops;
  });
  return out;
}

}  // namespace cni::firewall
