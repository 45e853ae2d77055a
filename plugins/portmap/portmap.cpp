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
#include <algorithm>
#include <iterator>

#include "backends.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "nftables.h"
#include "plugins.h"
#include "portmap_config.h"
#include "portmap_host.h"
#include "protocol/chained.h"
#include "protocol/record.h"
#include "reference.h"

namespace cni::portmap {
namespace {

void warn_of_unserved(const Config& conf, const Ports& ports) {
  for (const PortMapping& mapping : conf.mappings) {
    const bool served = std::ranges::any_of(ports.targets, [&](const Target& target) {
      return mapping.serves(target.container.family());
    });
    if (served) continue;
    log::warn(concat("host port ", mapping.host_port, "/", text(mapping.protocol),
                     ": the container has no address of its family"));
  }
}

void publish(Job& job, Rollback& rollback, Changes& changes) {
  rollback.on_failure("unpublish ports", [&] { undo(job, changes); });
  const bool guarded = backend_of(job.conf).add(job, changes);
  // With the rules in place: what comes now is redirected.
  forget_stale_flows(job.host, job.owner, job.ports);
  // Last: nothing can fail behind it.
  if (guarded) {
    open_loopback(job.host, job.ports);
  } else if (needs_loopback(job.ports)) {
    log::warn("this kernel has no nf_tables: the host's loopback addresses stay closed");
  }
}

/// Addresses of the attachment that others do not have by now, and whose connections may still be
/// redirected though the elements are gone: somebody flushed them, or a DEL was killed.
std::vector<IpAddress> formerly_published(Host& host, const Ports& likely) {
  std::vector<IpAddress> out;
  for (const Target& target : likely.targets) {
    if (host.has_nft() && nftables::is_target(host.nft(), target.container)) continue;
    out.push_back(target.container);
  }
  return out;
}

void unpublish(const Request& request, const Config& conf, const std::vector<IpNet>& addresses) {
  Host host;
  ErrorList errors;
  Ports likely = ports_of(conf, addresses);
  Removed removed;
  for (const Backend& backend : kBackends) {
    errors.attempt(concat("unpublish ports (", backend.name, ")"), [&] {
      Removed more = backend.remove(host, request, likely);
      std::ranges::move(more.containers, std::back_inserter(removed.containers));
      std::ranges::move(more.links, std::back_inserter(removed.links));
    });
  }
  errors.attempt("remove the reference's nftables rules", [&] {
    std::vector<IpAddress> known;
    for (const IpNet& net : addresses) known.push_back(net.address);
    reference::remove(host, request.container_id, known);
  });
  // After a flush nothing tells what there was but the way to the container.
  const bool flushed = removed.containers.empty();
  errors.attempt("cut connections", [&] {
    if (flushed) removed.containers = formerly_published(host, likely);
    forget_redirected(host, removed.containers);
  });
  errors.attempt("close the host's loopback", [&] {
    if (flushed && !list_open_links().empty()) {
      find_links(host, likely);
      if (!likely.opens.empty()) removed.links.push_back(likely.opens);
    }
    close_loopback(host, removed.links);
  });
  errors.throw_if_any();
}

/// An ADD without ports, after one with some.
void unpublish_former(const Request& request, const Result& previous) {
  for (const record::Held& held : record::hold("portmap", request)) {
    unpublish(request, Config::parse_leniently(request),
              attachment_addresses(previous, request.ifname));
    held.remove();
  }
}

Result make(const Request& request, bool again) {
  Result previous = required_prev_result(request, "portmap");
  Config conf = Config::parse(request);
  if (conf.mappings.empty()) {
    unpublish_former(request, previous);
    return previous;
  }
  Job job(request, std::move(conf), previous);
  warn_of_unserved(job.conf, job.ports);
  if (job.ports.targets.empty()) return previous;
  if (again && !has_own_links(job.ports)) {
    log::info("the way to the container is gone: a DEL is under way");
    return previous;
  }
  require_own_links(job.ports);
  // Neither backend sees what the other one made, and iptables' rules come first.
  for (const Backend& other : kBackends) {
    if (other.name != job.conf.backend) other.require_free(job);
  }
  Changes changes;
  Rollback rollback;
  publish(job, rollback, changes);
  rollback.commit();
  return previous;
}

bool has_rules(const Request& request) {
  return !Config::parse_leniently(request).mappings.empty();
}

Result add(const Request& request) { return make(request, false); }
void restore(const Request& request) { static_cast<void>(make(request, true)); }

void check(const Request& request) {
  const Result previous = required_prev_result(request, "portmap");
  Config conf = Config::parse(request);
  if (conf.mappings.empty()) return;
  Job job(request, std::move(conf), previous);
  if (job.ports.targets.empty()) return;
  if (is_of_reference(job)) return;
  if (backend_of(job.conf).check(job)) check_loopback(job.host, job.ports);
}

void del(const Request& request) {
  std::vector<IpNet> addresses;
  if (const auto previous = request.conf.prev_result_if_usable()) {
    addresses = attachment_addresses(*previous, request.ifname);
  }
  unpublish(request, Config::parse_leniently(request), addresses);
}

void gc(const Request& request, const OwnerSet& valid) {
  Host host;
  ErrorList errors;
  for (const Backend& backend : kBackends) {
    errors.attempt(concat("collect published ports (", backend.name, ")"), [&] {
      forget_redirected(host, backend.collect(host, request.conf.name, valid).containers);
    });
  }
  errors.attempt("close the host's loopback", [&] { close_loopback(host, list_open_links()); });
  errors.attempt("remove what nobody uses", [&] { remove_unused(host); });
  errors.throw_if_any();
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  backend_of(conf).require_usable(host);
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
