// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "backends.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "host/xtables.h"
#include "iptables.h"
#include "nftables.h"
#include "portmap_host.h"
#include "protocol/chained.h"
#include "reference.h"

namespace cni::portmap {
namespace {

iptables::Target iptables_target(const Request& request) {
  return {request.conf.name, request.container_id};
}

/// The first address of each family gets the mappings that serve it.
std::vector<IpNet> addresses_to_publish(const Config& conf, const std::vector<IpNet>& addresses) {
  std::vector<IpNet> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto first = std::ranges::find(addresses, family, &IpNet::family);
    if (first != addresses.end() && !conf.published(family).empty()) {
      out.push_back(*first);
    }
  }
  return out;
}

iptables::Ports iptables_ports_of(const Job& job) {
  return {.addresses = addresses_to_publish(job.conf, job.addresses),
          .mappings = job.conf.mappings,
          .options = {.snat = job.conf.snat,
                      .masq_all = job.conf.masq_all,
                      .mark_bit = job.conf.mark_masq_bit,
                      .external_set_mark_chain = job.conf.external_set_mark_chain,
                      .conditions_v4 = job.conf.conditions_v4,
                      .conditions_v6 = job.conf.conditions_v6}};
}

void require_nftables(Host& host) {
  require_possible("nf_tables", [&] { nftables::probe(host.nft()); });
}

/// With iptables nothing stands in nf_tables but the owner, for the rules that close the loopback.
bool needs_guard(Job& job) { return needs_loopback(job.ports) && job.host.has_nft(); }

Ports guard_of(const Job& job) { return {.opens = job.ports.opens}; }

iptables::Judge container_judge_of(Job& job) {
  return [&job](const iptables::Target& other) {
    return job.holders.of_container(other.network, other.container_id);
  };
}

nftables::Judge judge_of(Job& job) {
  return [&job](std::string_view tag) { return job.holders.of_tag(tag); };
}

void publish(Job& job, const Ports& ports, Changes& changes) {
  close_loopback(job.host,
                 nftables::add(job.host.nft(), job.owner, ports, judge_of(job), changes.nftables));
}

constexpr Backend kNftables{
    .name = "nftables",
    .require_free =
        [](Job& job) {
          if (job.host.has_nft())
            nftables::require_free(job.host.nft(), job.owner, job.ports, judge_of(job));
        },
    .add =
        [](Job& job, Changes& changes) {
          publish(job, job.ports, changes);
          return true;
        },
    .check =
        [](Job& job) {
          nftables::check(job.host.nft(), job.owner, job.ports);
          return true;
        },
    .remove = [](Host& host, const Request& request, const Ports& likely) -> Removed {
      if (!host.has_nft()) return {};
      return nftables::remove(host.nft(), request.owner(), likely);
    },
    .collect = [](Host& host, std::string_view network, const OwnerSet& valid) -> Removed {
      if (!host.has_nft()) return {};
      return nftables::collect(host.nft(), network,
                               [&](std::string_view tag) { return valid.contains(tag); });
    },
    .require_usable = require_nftables};

constexpr Backend kIptables{
    .name = "iptables",
    .require_free =
        [](Job& job) {
          iptables::make_way(job.host, iptables_target(job.request), iptables_ports_of(job),
                             container_judge_of(job));
        },
    .add =
        [](Job& job, Changes& changes) {
          const bool guarded = needs_guard(job);
          if (guarded || (job.host.has_nft() && nftables::has(job.host.nft(), job.owner))) {
            publish(job, guard_of(job), changes);
          }
          iptables::add(iptables_target(job.request), iptables_ports_of(job),
                        container_judge_of(job), changes.iptables);
          return guarded;
        },
    .check =
        [](Job& job) {
          iptables::check(iptables_target(job.request), iptables_ports_of(job));
          const bool guarded = needs_guard(job);
          if (guarded) nftables::check(job.host.nft(), job.owner, guard_of(job));
          return guarded;
        },
    .remove = [](Host& host, const Request& request, const Ports&) -> Removed {
      return {iptables::remove(host, iptables_target(request)), {}};
    },
    .collect = [](Host& host, std::string_view network, const OwnerSet& valid) -> Removed {
      return {iptables::collect(host, network,
                                [&](std::string_view id) { return valid.contains_container(id); }),
              {}};
    },
    .require_usable =
        [](Host& host) {
          xtables::require_available();
          if (host.has_nft()) require_nftables(host);
        }};

}  // namespace

constinit const std::array<Backend, 2> kBackends{kNftables, kIptables};

const Backend& backend_of(const Config& conf) {
  return *std::ranges::find(kBackends, conf.backend, &Backend::name);
}

void undo(Job& job, const Changes& changes) {
  Host host;  // sockets of its own: a dump that was broken off would be in the way
  if (changes.nftables) {
    close_loopback(host, nftables::remove(host.nft(), job.owner, job.ports).links);
    remove_unused(host);
  }
  if (changes.iptables) iptables::remove(host, iptables_target(job.request));
}

void remove_unused(Host& host) {
  // They close the loopback of the host to neighbours.
  if (host.has_nft() && list_open_links().empty()) nftables::remove_unused(host.nft());
}

Job::Job(const Request& r, Config c, const Result& previous)
    : request(r),
      conf(std::move(c)),
      addresses(attachment_addresses(previous, r.ifname)),
      owner(r.owner()),
      ports(ports_of(conf, addresses)) {
  find_links(host, ports);
}

Ports ports_of(const Config& conf, const std::vector<IpNet>& addresses) {
  Ports out;
  out.snat = conf.nft_snat();
  for (const IpNet& net : addresses_to_publish(conf, addresses)) {
    out.targets.push_back({.container = net.address,
                           .mappings = conf.published(net.family()),
                           .conditions = conf.nft_conditions(net.family())});
  }
  return out;
}

bool is_of_reference(Job& job) {
  if (job.host.has_nft() && nftables::has(job.host.nft(), job.owner)) return false;
  const bool in_nft = std::ranges::all_of(job.ports.targets, [&](const Target& target) {
    return reference::count(job.host, job.request.container_id, target.container) >=
           target.mappings.size();
  });
  if (in_nft) return true;
  if (!iptables::may_exist(job.host, iptables_target(job.request))) return false;
  iptables::check(iptables_target(job.request), iptables_ports_of(job));
  return true;
}

}  // namespace cni::portmap
