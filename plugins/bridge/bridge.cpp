// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// bridge: connects a container to a Linux bridge on the host.
//
// On the host:     bridge <bridge> and its gateway addresses, forwarding sysctls (shared, DEL
// leaves
//                  them), veth<hash> labelled with the owner, masquerading elements of the owner
// In the sandbox:  <CNI_IFNAME> with the addresses and routes of IPAM
// Options and examples: docs/plugins/bridge.md
#include <cerrno>
#include <utility>
#include <vector>

#include "attach/configure_interface.h"
#include "attach/detach.h"
#include "attach/job.h"
#include "attach/layer3.h"
#include "attach/veth.h"
#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"
#include "bridge_check.h"
#include "bridge_config.h"
#include "bridge_link.h"
#include "host/forwarding.h"
#include "host/host.h"
#include "layer3.h"
#include "masquerade/masquerade.h"
#include "netlink/monitor.h"
#include "plugins.h"
#include "protocol/chained.h"
#include "protocol/delegate.h"
#include "reference_spoof_check.h"
#include "spoof_check.h"
#include "vlan.h"

namespace cni::bridge {
namespace {

using netlink::Link;
using netlink::Message;
namespace reference_spoof_check = nft::reference_spoof_check;
namespace spoof_check = nft::spoof_check;

constexpr int kAttachTries = 5;

using Job = cni::Job<Config>;

struct Attached {
  Link bridge;
  VethPair veth;
  std::optional<Link> vlan_gateway;
};

Attached attach(Job& job) {
  VethOptions options;
  options.mtu = job.conf.mtu;
  options.container_mac = job.conf.mac;
  options.port.port_hairpin = job.conf.hairpin_mode;
  options.port.port_isolated = job.conf.port_isolation;
  const auto lock = lock_bridges(FileLock::Kind::kShared);
  for (int tries = 0; tries < kAttachTries; ++tries) {
    const Link bridge = ensure_bridge(job.host, job.conf, job.rollback);
    options.master = bridge.ifindex;
    const auto veth =
        create_veth(job.host, job.sandbox, job.request.ifname, job.owner, options, job.rollback);
    if (veth) return {bridge, *veth, std::nullopt};
    // An administrator removed the bridge between our two requests.
  }
  throw Error(ErrorCode::kTryAgain, concat("bridge ", quote(job.conf.bridge), " comes and goes"));
}

/// What the port needs before the container can send.
void restrict_port(Job& job, Attached& attached) {
  const Link& port = attached.veth.host;
  set_port_vlans(job.host, job.conf, port);
  if (job.conf.vlan != 0 && job.conf.is_gateway && job.conf.has_ipam) {
    attached.vlan_gateway =
        ensure_vlan_gateway(job.host, job.conf, attached.bridge, port.ifindex, job.rollback);
  }
  if (!job.conf.mac_spoof_check) return;
  const log::Step timed("spoof check");
  job.rollback.on_failure("remove the spoof check",
                          [&job, name = port.name] { spoof_check::remove(job.host.nft(), name); });
  spoof_check::add(job.host.nft(), job.owner, port.name, attached.veth.container.mac);
}

void configure_layer3(Job& job, const Attached& attached, const Result& result) {
  configure_interface(job.sandbox, attached.veth.container, result,
                      {.index = kContainerIndex,
                       .dad = job.conf.enable_dad ? netlink::Dad::kPerform : netlink::Dad::kSkip});
  if (job.conf.is_gateway) {
    ensure_gateways(job.host, job.conf,
                    {.bridge = attached.bridge,
                     .target = attached.vlan_gateway.value_or(attached.bridge),
                     .own_port = attached.veth.host.ifindex},
                    gateways_of(result), job.rollback);
  }
  if (job.conf.ip_masq.any()) {
    masquerade::add(job.host, job.request, job.conf.ip_masq, addresses_of(result), job.rollback);
  }
}

void set_container_up(Job& job, const Link& container) {
  netlink::Message up = netlink::change_link(container.ifindex, container.name, {.up = true});
  job.sandbox.route().transact(up);
}

/// Whether a new port may have changed the bridge's MAC or MTU: it follows the smallest MTU of its
/// ports, unless it has been given one, and the port with the lowest MAC, unless that was pinned.
bool may_have_changed(const Attached& attached) {
  return !has_pinned_mac(attached.bridge) || attached.bridge.mtu != attached.veth.host.mtu;
}

/// The interfaces of the result, as the kernel has them at the end.
void describe_interfaces(Job& job, const Attached& attached, Result& result) {
  const Link port = netlink::get_link(job.host.route(), attached.veth.host.name);
  if (!job.conf.disable_container_interface && !port.is_operational() &&
      !netlink::wait_until_operational(job.host.route(), job.host.netns(), port)) {
    Deadline::expired(concat("bridge port ", quote(port.name), " did not come up"));
  }
  if (port.master != attached.bridge.ifindex) {
    throw Error(ErrorCode::kTryAgain, concat("port ", quote(port.name), " was taken off bridge ",
                                             quote(attached.bridge.name), " during ADD"));
  }
  const Link bridge = may_have_changed(attached)
                          ? netlink::get_link(job.host.route(), attached.bridge.name)
                          : attached.bridge;
  result.interfaces = {describe(bridge, ""), describe(port, ""),
                       describe(attached.veth.container, job.request.netns)};
  if (attached.vlan_gateway) result.interfaces.push_back(describe(*attached.vlan_gateway, ""));
}

/// What was announced when the link came up the port did not let through yet. Neighbours that knew
/// an earlier container by the address would go on looking for that. A MAC that is set, if to the
/// same, is announced again (announce_addresses).
void announce(Job& job, const Link& container, const Result& result) {
  if (result.ips.empty()) return;
  Message again =
      netlink::change_link(container.ifindex, container.name, {.mac = container.mac}, "announce");
  job.sandbox.route().transact(again);
}

Result add(const Request& request) {
  Job job(request);
  if (!job.conf.has_ipam) require_expressible_without_addresses(request.conf.version);
  require_not_attached(job.host, job.sandbox, request.ifname, job.owner);
  auto ipam = ipam::start_add(request, job.rollback);  // works while we make the links
  Attached attached = attach(job);
  restrict_port(job, attached);

  Result result;
  if (ipam) {
    result = complete(job.conf, ipam::finish_add(*ipam));
    configure_layer3(job, attached, result);
  } else if (!job.conf.disable_container_interface) {
    set_container_up(job, attached.veth.container);
  }
  describe_interfaces(job, attached, result);
  announce(job, attached.veth.container, result);
  if (job.conf.dns) result.dns = *job.conf.dns;
  // Last: it is not taken back, since other networks may rely on it by then.
  if (job.conf.is_gateway) enable_forwarding(job.host, gateways_of(result));
  job.rollback.commit();
  return result;
}

Piece spoof_checks() {
  return {.what = "the spoof check",
          .remove =
              [](const Detaching& at) {
                if (at.host.has_nft()) {
                  spoof_check::remove(at.host.nft(), host_veth_name(at.owner));
                }
              },
          .collect =
              [](const Collecting& at) {
                if (!at.host.has_nft()) return;
                spoof_check::collect(at.host.nft(), at.request.conf.name,
                                     [&](std::string_view tag) { return at.valid.contains(tag); });
              }};
}

Piece reference_spoof_checks() {
  return {.what = "the reference's spoof check",
          .remove =
              [](const Detaching& at) {
                if (at.host.has_nft()) {
                  reference_spoof_check::remove(at.host.nft(), at.request.attachment());
                }
              },
          .collect =
              [](const Collecting& at) {
                if (!at.host.has_nft()) return;
                reference_spoof_check::collect(
                    at.host.nft(), at.valid.attachments(), [&](const std::string& port) {
                      return netlink::find_link(at.host.route(), port).has_value();
                    });
              }};
}

/// The bridge: shared, so no affair of DEL.
Piece unused_bridge() {
  return {.what = "the bridge", .remove = {}, .collect = [](const Collecting& at) {
            const Config conf = Config::parse_leniently(at.request);
            if (at.valid.empty() && !conf.bridge.empty()) {
              remove_unused_bridge(at.host, conf.bridge);
            }
          }};
}

/// nf_tables first: the kernel frees what was removed while it takes its time over the link. Whose
/// the reference's spoof checks were GC knows by the ports that are left.
std::vector<Piece> pieces() {
  return {masquerading(), spoof_checks(), veth_pair(), reference_spoof_checks(), unused_bridge()};
}

void del(const Request& request) { detach(request, pieces()); }
void gc(const Request& request, const OwnerSet& valid) { collect(request, valid, pieces()); }

/// Of a configuration that ADD has taken.
bool has_rules(const Request& request) {
  const JsonRef conf = request.conf.root();
  const bool has_ipam = !conf["ipam"]["type"].string_or("").empty();
  return conf["macspoofchk"].bool_or(false) || (masquerade::is_wanted(conf) && has_ipam);
}

void restore(const Request& request) {
  const Config conf = Config::parse(request);
  const Owner owner = request.owner();
  const Result previous = required_prev_result(request, "restoring");
  Host host;
  const Link port = get_host_veth(host, owner);
  if (conf.mac_spoof_check) {
    const Interface* const link = previous.find_interface(request.ifname, request.netns);
    const auto mac = link == nullptr ? std::nullopt : Mac::try_parse(link->mac);
    if (!mac) request.conf.root()["prevResult"].fail("no MAC of the container's interface");
    spoof_check::add(host.nft(), owner, port.name, *mac);
  }
  if (conf.ip_masq.any() && conf.has_ipam) {
    masquerade::add(host, request, conf.ip_masq, attachment_addresses(previous, request.ifname));
  }
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  require_possible("permissions", [&] { require_permissions(host); });
  require_usable(host, conf, possible_gateways(request));
  if (conf.ip_masq.any()) {
    require_possible("ipMasq", [&] { masquerade::probe(host, conf.ip_masq); });
  }
  if (conf.vlan_filtering) require_possible("vlan", [] { probe_vlan_filtering(); });
  if (conf.mac_spoof_check) {
    require_possible("macspoofchk", [&] { spoof_check::probe(host.nft()); });
  }
  ipam::status(request);
}

}  // namespace

const Plugin plugin{.name = "bridge",
                    .add = add,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .has_rules = has_rules,
                    .restore = restore};

}  // namespace cni::bridge
