// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// firewall: lets an attachment's packets through the host's firewall, and keeps containers from
// each other.
//
// On the host:     entries of the owner in table inet cnipp and table bridge cnipp; what they stand
//                  for is shared by all containers of a bridge and goes with the last one: rules in
//                  iptables' chain CNI-FORWARD, chains of the bridge in table inet cnipp
// In the sandbox:  nothing
// Options and examples: docs/plugins/firewall.md
#include "backends.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "firewall_config.h"
#include "isolation.h"
#include "model/owner.h"
#include "place.h"
#include "plugins.h"
#include "protocol/record.h"

namespace cni::firewall {
namespace {

constexpr std::string_view kName = "firewall";

std::string obstacle_text(const ForwardFilter& filter) {
  if (filter.kind == ForwardFilter::Kind::kFirewalld) {
    return concat("firewalld (", filter.text(), ") rejects what none of its zones accepts, and is ",
                  "not told to accept the containers");
  }
  return concat(filter.text(), " drops forwarded packets, and cannot be told to accept some");
}

/// A backend that is named says that the administrator knows of other tables; not that firewalld,
/// which could be told, need not be.
bool is_known(const Config& conf, const ForwardFilter& filter) {
  return !conf.backend.empty() && filter.kind != ForwardFilter::Kind::kFirewalld;
}

/// Whether our own tables keep the containers apart.
bool isolates_with_nft(Job& job, const Backend& backend) {
  return job.conf.policy && backend.isolates_with_nft(job.host, *job.conf.policy);
}

/// What an earlier ADD of the attachment made with others.
void remove_others(Job& job, const Backend& backend) {
  for (const Backend& other : kBackends) {
    if (other.name != backend.name) other.remove({job.host, job.conf}, job.owner, {});
  }
}

/// ADD and RESTORE. What was there before this call is not taken back when it fails.
Result make(const Request& request, bool again) {
  Job job(request);
  const auto [backend, obstacles] = plan(job.host, job.conf);
  for (const ForwardFilter& filter : obstacles) {
    is_known(job.conf, filter) ? log::warn(obstacle_text(filter))
                               : log::error(obstacle_text(filter));
  }
  Rollback rollback;
  const bool isolates = isolates_with_nft(job, *backend);
  if (isolates) {
    const log::Step timed("ingress policy");
    if (!isolation::has(job.host.nft(), job.owner)) {
      rollback.on_failure("remove the ingress policy",
                          [&job] { isolation::remove(job.host.nft(), job.owner); });
    }
    isolation::add(job.host.nft(), job.owner, *job.conf.policy, job.place);
  }
  {
    const log::Step timed("accept forwarded packets");
    backend->add(job, rollback);
  }
  rollback.commit();
  if (again) remove_others(job, *backend);
  if (!isolates && job.host.has_nft()) isolation::remove(job.host.nft(), job.owner);
  return job.previous;
}

Result add(const Request& request) { return make(request, !record::hold(kName, request).empty()); }
void restore(const Request& request) { static_cast<void>(make(request, false)); }
bool has_rules(const Request&) { return true; }

void check(const Request& request) {
  Job job(request);
  const Backend& backend = *plan(job.host, job.conf).backend;
  // What the reference made has other forms: no policy but in iptables, no rule with an owner.
  const bool ours = !record::hold(kName, request).empty();
  if (ours && isolates_with_nft(job, backend)) {
    isolation::check(job.host.nft(), job.owner, *job.conf.policy, job.place);
  }
  backend.check(job, ours);
}

/// Of prevResult; none when that cannot be read.
std::vector<IpAddress> remembered_addresses(const Request& request) {
  const auto previous = request.conf.prev_result_if_usable();
  return previous ? addresses_of(*previous) : std::vector<IpAddress>{};
}

void del(const Request& request) {
  const Owner owner = request.owner();
  const Config conf = Config::parse_leniently(request);
  const std::vector<IpAddress> addresses = remembered_addresses(request);
  Host host;
  ErrorList errors;
  if (host.has_nft()) {
    errors.attempt("remove the ingress policy", [&] { isolation::remove(host.nft(), owner); });
  }
  for (const Backend& backend : kBackends) {
    errors.attempt(concat("remove what accepts packets (", backend.name, ")"), [&] {
      backend.remove({host, conf}, owner, addresses);
    });
  }
  errors.throw_if_any();
}

void gc(const Request& request, const OwnerSet& valid) {
  const std::string& network = request.conf.name;
  const auto keep = [&](std::string_view tag) { return valid.contains(tag); };
  const Config conf = Config::parse_leniently(request);
  Host host;
  ErrorList errors;
  if (host.has_nft()) {
    errors.attempt("collect ingress policies",
                   [&] { isolation::collect(host.nft(), network, keep); });
  }
  for (const Backend& backend : kBackends) {
    errors.attempt(concat("collect what accepts packets (", backend.name, ")"), [&] {
      backend.collect({host, conf}, network, keep);
    });
  }
  if (valid.empty()) {
    errors.attempt("remove what nobody uses", [&] {
      if (host.has_nft()) isolation::remove_unused(host.nft());
      for (const Backend& backend : kBackends) backend.remove_unused({host, conf});
    });
  }
  errors.throw_if_any();
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  Plan planned;
  require_possible("backend", [&] {
    planned = plan(host, conf);
    planned.backend->require_usable(host);
  });
  const auto policy = conf.policy.value_or(isolation::Policy::kSameBridge);
  if (host.has_nft() || planned.backend->isolates_with_nft(host, policy)) {
    require_possible("nf_tables", [&] { isolation::probe(host.nft(), policy); });
  }
  for (const ForwardFilter& filter : planned.obstacles) {
    if (is_known(conf, filter)) continue;
    throw Error(ErrorCode::kNotAvailable, obstacle_text(filter),
                filter.kind == ForwardFilter::Kind::kFirewalld
                    ? "leave out \"backend\", or set it to \"firewalld\""
                    : "if its own rules accept the containers' packets, say so with \"backend\": "
                      "\"nftables\"");
  }
}

}  // namespace

const Plugin plugin{.name = kName,
                    .add = add,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .has_rules = has_rules,
                    .restore = restore};

}  // namespace cni::firewall
