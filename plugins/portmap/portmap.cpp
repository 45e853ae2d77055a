// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// portmap: publishes ports of a container on the host.
//
// On the host:     elements of the owner in the maps of nf_tables table inet cnipp (its chains and
//                  maps are shared, DEL leaves them), or the reference's iptables chains; the
//                  sysctl route_localnet and a local route to ::1 on the link towards the container
//                  (shared)
// In the sandbox:  nothing
// Options and examples: docs/plugins/portmap.md
#include "portmap.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "host/host.h"
#include "host/xtables.h"
#include "iptables.h"
#include "model/owner.h"
#include "nftables.h"
#include "portmap_config.h"
#include "portmap_host.h"
#include "protocol/chained.h"
#include "reference.h"

namespace cni::portmap {
namespace {

namespace port_map = nft::port_map;
using port_map::Ports;

Owner owner_of(const Request& request) {
  return {request.conf.name, request.container_id, request.ifname};
}

iptables::Target iptables_target(const Request& request) {
  return {request.conf.name, request.container_id};
}

/// The first address of each family gets the mappings that serve it.
std::vector<IpNet> addresses_to_publish(const Config& conf, const std::vector<IpNet>& addresses) {
  std::vector<IpNet> out;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto first = std::ranges::find(addresses, family, &IpNet::family);
    if (first != addresses.end() && !mappings_of(conf.mappings, family).empty()) {
      out.push_back(*first);
    }
  }
  return out;
}

Ports ports_of(const Config& conf, const std::vector<IpNet>& addresses) {
  Ports out;
  out.snat = conf.nft_snat();
  for (const IpNet& net : addresses_to_publish(conf, addresses)) {
    out.targets.push_back({net.address, mappings_of(conf.mappings, net.family()), {}, {}});
  }
  return out;
}

iptables_portmap::Ports iptables_ports_of(const Config& conf, const std::vector<IpNet>& addresses) {
  return {.addresses = addresses_to_publish(conf, addresses),
          .mappings = conf.mappings,
          .options = {.snat = conf.snat,
                      .masq_all = conf.masq_all,
                      .mark_bit = conf.mark_masq_bit,
                      .external_set_mark_chain = conf.external_set_mark_chain,
                      .conditions_v4 = conf.conditions_v4,
                      .conditions_v6 = conf.conditions_v6}};
}

void warn_of_unserved(const Config& conf, const Ports& ports) {
  for (const PortMapping& mapping : conf.mappings) {
    const bool served = std::ranges::any_of(ports.targets, [&](const port_map::Target& target) {
      return mapping.serves(target.container.family());
    });
    if (served) continue;
    log::warn(concat("host port ", mapping.host_port, "/", text(mapping.protocol),
                     ": the container has no address of its family"));
  }
}

/// What ADD and CHECK work on.
struct Job {
  const Request& request;
  Config conf;
  std::vector<IpNet> addresses;
  Host host;
  Owner owner;
  Ports ports;

  Job(const Request& r, Config c, const Result& previous)
      : request(r),
        conf(std::move(c)),
        addresses(attachment_addresses(previous, r.ifname)),
        owner(owner_of(r)),
        ports(ports_of(conf, addresses)) {
    if (conf.backend == Backend::kNftables) {
      for (port_map::Target& target : ports.targets) {
        target.conditions = conf.nft_conditions(target.container.family());
      }
    }
    find_links(host, ports.targets);
  }

  /// What stands in nf_tables. With iptables nothing but the owner, for the rules that close the
  /// host's loopback to neighbours.
  [[nodiscard]] Ports nft_ports() const {
    return conf.backend == Backend::kNftables ? ports : Ports{};
  }
  [[nodiscard]] bool uses_nft() {
    return conf.backend == Backend::kNftables || (needs_loopback(ports) && host.has_nft());
  }
};

/// Neither backend sees what the other one made, and iptables' rules come first.
void require_free_of_other_backend(Job& job) {
  if (job.conf.backend == Backend::kNftables) {
    iptables_portmap::require_free(job.host, iptables_target(job.request),
                                   iptables_ports_of(job.conf, job.addresses));
  } else if (job.host.has_nft()) {
    port_map::require_free(job.host.nft(), job.owner, job.ports);
  }
}

void publish(Job& job, Rollback& rollback, bool& nft_changed, bool& iptables_changed) {
  rollback.on_failure("unpublish ports", [&] {
    Host host;  // sockets of its own: a dump that was broken off would be in the way
    if (nft_changed) port_map::remove(host.nft(), job.owner, job.nft_ports());
    if (nft_changed) port_map::remove_unused(host.nft());
    if (iptables_changed) iptables_portmap::remove(host, iptables_target(job.request));
  });
  const bool guarded = job.uses_nft();
  if (guarded) port_map::add(job.host.nft(), job.owner, job.nft_ports(), nft_changed);
  if (job.conf.backend == Backend::kIptables) {
    iptables_portmap::add(iptables_target(job.request), iptables_ports_of(job.conf, job.addresses),
                          iptables_changed);
  }
  // With the rules in place: what comes now is redirected.
  forget_stale_flows(job.host, job.owner, job.ports);
  // Last: it is not taken back, since others may rely on it by then.
  if (guarded) {
    open_loopback(job.host, job.ports);
  } else if (needs_loopback(job.ports)) {
    log::warn("this kernel has no nf_tables: the host's loopback addresses stay closed");
  }
}

Result add(const Request& request) {
  Result previous = required_prev_result(request, "portmap");
  Config conf = Config::parse(request);
  if (conf.mappings.empty()) return previous;
  Job job(request, std::move(conf), previous);
  warn_of_unserved(job.conf, job.ports);
  if (job.ports.targets.empty()) return previous;
  require_free_of_other_backend(job);
  bool nft_changed = false;
  bool iptables_changed = false;
  Rollback rollback;
  publish(job, rollback, nft_changed, iptables_changed);
  rollback.commit();
  return previous;
}

bool has_rules(const Request& request) {
  return !Config::parse_leniently(request).mappings.empty();
}

void restore(const Request& request) { static_cast<void>(add(request)); }

/// What the reference made before an upgrade, with either backend.
bool is_of_reference(Job& job) {
  const std::vector<port_map::Target>& targets = job.ports.targets;
  const bool in_nft = std::ranges::all_of(targets, [&](const port_map::Target& target) {
    return reference_portmap::count(job.host, job.request.container_id, target.container) >=
           target.mappings.size();
  });
  if (in_nft) return true;
  if (!iptables_portmap::may_exist(job.host, iptables_target(job.request))) return false;
  iptables_portmap::check(iptables_target(job.request), iptables_ports_of(job.conf, job.addresses));
  return true;
}

void check(const Request& request) {
  const Result previous = required_prev_result(request, "portmap");
  Config conf = Config::parse(request);
  if (conf.mappings.empty()) return;
  Job job(request, std::move(conf), previous);
  if (job.ports.targets.empty()) return;
  const bool ours = job.host.has_nft() && port_map::has(job.host.nft(), job.owner);
  if (!ours && is_of_reference(job)) return;
  if (job.conf.backend == Backend::kIptables) {
    iptables_portmap::check(iptables_target(request), iptables_ports_of(job.conf, job.addresses));
  }
  if (!job.uses_nft()) return;
  port_map::check(job.host.nft(), job.owner, job.nft_ports());
  check_loopback(job.host, job.ports);
}

void del(const Request& request) {
  const Config conf = Config::parse_leniently(request);
  std::vector<IpNet> addresses;
  if (const auto previous = request.conf.prev_result_if_usable()) {
    addresses = attachment_addresses(*previous, request.ifname);
  }
  Host host;
  ErrorList errors;
  std::vector<IpAddress> released;
  const auto release = [&](const std::vector<IpAddress>& more) {
    released.insert(released.end(), more.begin(), more.end());
  };
  errors.attempt("unpublish ports", [&] {
    if (!host.has_nft()) return;
    release(port_map::remove(host.nft(), owner_of(request), ports_of(conf, addresses)));
  });
  errors.attempt("remove iptables rules",
                 [&] { release(iptables_portmap::remove(host, iptables_target(request))); });
  errors.attempt("remove the reference's nftables rules", [&] {
    std::vector<IpAddress> known;
    for (const IpNet& net : addresses) known.push_back(net.address);
    reference_portmap::remove(host, request.container_id, known);
  });
  errors.attempt("cut connections", [&] { forget_redirected(host, released); });
  errors.throw_if_any();
}

void gc(const Request& request) {
  const ValidAttachments valid = request.conf.valid_attachments();
  if (!valid) return;  // nothing is known: nothing may be taken away
  const OwnerSet owners(request.conf.name, *valid);
  Host host;
  ErrorList errors;
  errors.attempt("collect published ports", [&] {
    if (!host.has_nft()) return;
    forget_redirected(host, port_map::collect(host.nft(), request.conf.name,
                                              [&](auto tag) { return owners.contains(tag); }));
    port_map::remove_unused(host.nft());
  });
  errors.attempt("collect iptables rules", [&] {
    forget_redirected(host, iptables_portmap::collect(host, request.conf.name, [&](auto id) {
                        return owners.contains_container(id);
                      }));
  });
  errors.throw_if_any();
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  if (conf.backend == Backend::kIptables) xtables::require_available();
  Host host;
  try {
    if (conf.backend == Backend::kNftables || host.has_nft()) port_map::probe(host.nft());
  } catch (const KernelError& error) {
    throw Error(ErrorCode::kNotAvailable, concat("nf_tables: ", error.msg()), error.details());
  }
}

}  // namespace

const Plugin plugin{.name = "portmap",
                    .add = add,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .has_rules = has_rules,
                    .restore = restore};

}  // namespace cni::portmap
