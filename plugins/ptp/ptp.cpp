// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// ptp: connects a container to the host by a routed link of its own, without a bridge.
//
// On the host:     veth<hash> labelled with the owner, with the gateway addresses and a route to
//                  each address of the container; masquerading elements of the owner; forwarding
//                  sysctls (shared, DEL leaves them)
// In the sandbox:  <CNI_IFNAME> with the addresses and routes of IPAM, everything through the
//                  gateway
// Options and examples: docs/plugins/ptp.md
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
#include "host/forwarding.h"
#include "host/host.h"
#include "masquerade/masquerade.h"
#include "netlink/monitor.h"
#include "plugins.h"
#include "protocol/chained.h"
#include "protocol/delegate.h"
#include "routed.h"

namespace cni::ptp {
namespace {

/// The plugin's configuration; docs/plugins/ptp.md describes the keys.
struct Config {
  masquerade::Settings ip_masq;
  bool has_ipam = false;   // else there is only the pair of links
  unsigned mtu = 0;        // bytes, 0: the kernel's default
  std::optional<Dns> dns;  // replaces the IPAM plugin's as a whole

  /// Reads and checks everything. Throws Error{kInvalidConfig}.
  [[nodiscard]] static Config parse(const Request& request);
};

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  out.ip_masq = masquerade::Settings::parse(root);
  out.mtu = parse_mtu(root["mtu"]);
  out.dns = parse_dns(root["dns"]);
  out.has_ipam = !root["ipam"]["type"].string_or("").empty();
  return out;
}

using Job = cni::Job<Config>;

VethPair connect(Job& job) {
  VethOptions options;
  options.mtu = job.conf.mtu;
  options.routed = true;
  auto pair =
      create_veth(job.host, job.sandbox, job.request.ifname, job.owner, options, job.rollback);
  if (!pair) throw Error(ErrorCode::kInternal, "a veth pair without master lost its master");
  return *std::move(pair);
}

void configure(Job& job, const VethPair& pair, const Result& result) {
  configure_interface(job.sandbox, pair.container, result,
                      {.index = kContainerIndex,
                       .prefix_route = netlink::PrefixRoute::kNone,
                       .announce = false,
                       .first = container_routes(result, pair.container.ifindex)});
  configure_host_end(job.host, pair.host, result);
  if (job.conf.ip_masq.any()) {
    masquerade::add(job.host, job.request, job.conf.ip_masq, addresses_of(result), job.rollback);
  }
}

/// Packets that the host sends before would wait for an answer to their neighbour solicitation.
void wait_until_ready(Job& job, const netlink::Link& host_end) {
  if (netlink::wait_until_operational(job.host.route(), job.host.netns(), host_end)) return;
  Deadline::expired(concat("link ", quote(host_end.name), " did not come up"));
}

void set_up(Job& job, const netlink::Link& container) {
  netlink::Message up = netlink::change_link(container.ifindex, container.name, {.up = true});
  job.sandbox.route().transact(up);
}

Result add(const Request& request) {
  Job job(request);
  require_not_attached(job.host, job.sandbox, request.ifname, job.owner);
  if (!job.conf.has_ipam) require_expressible_without_addresses(request.conf.version);
  auto ipam = ipam::start_add(request, job.rollback);  // works while we make the links
  const VethPair pair = connect(job);

  Result result;
  if (ipam) {
    result = complete(ipam::finish_add(*ipam));
    configure(job, pair, result);
  } else {
    set_up(job, pair.container);
  }
  wait_until_ready(job, pair.host);
  result.interfaces = {describe(pair.host, ""), describe(pair.container, request.netns)};
  if (job.conf.dns) result.dns = *job.conf.dns;
  // Last: it is not taken back, since other networks may rely on it by then.
  enable_forwarding(job.host, addresses_of(result));
  job.rollback.commit();
  return result;
}

void check(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const auto previous = request.conf.prev_result();
  if (!previous) throw Error(ErrorCode::kInvalidConfig, "required prevResult missing");

  const netlink::Link container = check_container_veth(sandbox, request, *previous);
  if (!container.is_up()) {
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(container.name), " in the container is down"));
  }
  const netlink::Link host_end = check_host_veth(host, *previous, container);
  if (!conf.has_ipam) return;
  const Result ours = complete(only_interface(*previous, request.ifname));
  check_interface(sandbox, container, ours, container_routes(ours, container.ifindex));
  check_host_end(host, host_end, ours);
  check_forwarding(addresses_of(ours));
  if (conf.ip_masq.any()) {
    masquerade::check(host, request, conf.ip_masq, addresses_of(ours));
  }
  ipam::check(request);
}

/// nf_tables first: the kernel frees what was removed while it takes its time over the link. The
/// addresses and routes of the host's end go with it.
std::vector<Piece> pieces() { return {masquerading(), veth_pair()}; }

void del(const Request& request) { detach(request, pieces()); }
void gc(const Request& request, const OwnerSet& valid) { collect(request, valid, pieces()); }

/// Of a configuration that ADD has taken.
bool has_rules(const Request& request) {
  const JsonRef conf = request.conf.root();
  return masquerade::is_wanted(conf) && !conf["ipam"]["type"].string_or("").empty();
}

void restore(const Request& request) {
  const Config conf = Config::parse(request);
  const Result previous = required_prev_result(request, "restoring");
  Host host;
  static_cast<void>(get_host_veth(host, request.owner()));
  if (!conf.ip_masq.any()) return;
  masquerade::add(host, request, conf.ip_masq, attachment_addresses(previous, request.ifname));
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  require_possible("permissions", [&] { require_permissions(host); });
  if (conf.ip_masq.any()) {
    require_possible("ipMasq", [&] { masquerade::probe(host, conf.ip_masq); });
  }
  ipam::status(request);
}

}  // namespace

const Plugin plugin{.name = "ptp",
                    .add = add,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .has_rules = has_rules,
                    .restore = restore};

}  // namespace cni::ptp
