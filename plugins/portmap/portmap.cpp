// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// portmap: publishes ports of a container on the host.
//
// On the host:     elements of the owner in the maps of nf_tables table inet cnipp (its chains and
//                  maps are shared, DEL leaves them); the sysctl route_localnet and a local route
//                  to ::1 on the link towards the container (shared)
// In the sandbox:  nothing
// Options and examples: docs/plugins/portmap.md
#include "portmap.h"

#include "attach/host.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "model/owner.h"
#include "nft/port_map.h"
#include "portmap_config.h"
#include "portmap_host.h"
#include "protocol/chained.h"

namespace cni::portmap {
namespace {

namespace port_map = nft::port_map;
using port_map::Ports;

Owner owner_of(const Request& request) {
  return {request.conf.name, request.container_id, request.ifname};
}

Config parse_usable(const Request& request) {
  Config conf = Config::parse(request);
  if (conf.backend == Backend::kNftables) return conf;
  throw Error(ErrorCode::kInvalidConfig, "backend: iptables cannot be had yet");
}

/// The first address of each family gets the mappings that serve it.
Ports ports_of(const Config& conf, const std::vector<IpNet>& addresses) {
  Ports out;
  out.snat = conf.nft_snat();
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto mappings = mappings_of(conf.mappings, family);
    if (mappings.empty()) continue;
    for (const IpNet& address : addresses) {
      if (address.family() != family) continue;
      out.targets.push_back({address.address, mappings, {}, {}});
      break;
    }
  }
  return out;
}

Ports ports_to_publish(Host& host, const Config& conf, const Request& request,
                       const Result& previous) {
  Ports out = ports_of(conf, attachment_addresses(previous, request.ifname));
  for (port_map::Target& target : out.targets) {
    target.conditions = conf.nft_conditions(target.container.family());
  }
  for (const PortMapping& mapping : conf.mappings) {
    bool served = false;
    for (const auto& target : out.targets) served |= mapping.serves(target.container.family());
    if (served) continue;
    log::warn(concat("host port ", mapping.host_port, "/", text(mapping.protocol),
                     ": the container has no address of its family"));
  }
  find_links(host, out.targets);
  return out;
}

void publish(const Request& request, const Config& conf, const Result& previous) {
  Host host;
  const Owner owner = owner_of(request);
  const Ports ports = ports_to_publish(host, conf, request, previous);
  if (ports.targets.empty()) return;
  Rollback rollback;
  bool changed = false;
  rollback.on_failure("unpublish ports", [&] {
    if (!changed) return;
    port_map::remove(host.nft(), owner, ports);
    port_map::remove_unused(host.nft());
  });
  port_map::add(host.nft(), owner, ports, changed);
  // With the rules in place: what comes now is redirected.
  forget_stale_flows(host, owner, ports);
  // Last: it is not taken back, since others may rely on it by then.
  open_loopback(host, ports);
  rollback.commit();
}

Result add(const Request& request) {
  Result previous = required_prev_result(request, "portmap");
  const Config conf = parse_usable(request);
  if (!conf.mappings.empty()) publish(request, conf, previous);
  return previous;
}

bool has_rules(const Request& request) {
  return !Config::parse_leniently(request).mappings.empty();
}

void restore(const Request& request) { static_cast<void>(add(request)); }

void check(const Request& request) {
  const Result previous = required_prev_result(request, "portmap");
  const Config conf = parse_usable(request);
  if (conf.mappings.empty()) return;
  Host host;
  const Ports ports = ports_to_publish(host, conf, request, previous);
  if (ports.targets.empty()) return;
  port_map::check(host.nft(), owner_of(request), ports);
  check_loopback(host, ports);
}

void del(const Request& request) {
  const Config conf = Config::parse_leniently(request);
  std::vector<IpNet> addresses;
  if (const auto previous = request.conf.prev_result_if_usable()) {
    addresses = attachment_addresses(*previous, request.ifname);
  }
  Host host;
  ErrorList errors;
  errors.attempt("unpublish ports", [&] {
    if (!host.has_nft()) return;
    forget_redirected(host,
                      port_map::remove(host.nft(), owner_of(request), ports_of(conf, addresses)));
  });
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
  errors.throw_if_any();
}

void status(const Request& request) {
  static_cast<void>(parse_usable(request));
  Host host;
  try {
    port_map::probe(host.nft());
  } catch (const KernelError& error) {
    throw Error(ErrorCode::kNotAvailable, concat("backend nftables: ", error.msg()),
                error.details());
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
