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
#include "firewall.h"

#include <algorithm>

#include "accept_firewalld.h"
#include "accept_iptables.h"
#include "accept_nftables.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "firewall_config.h"
#include "forward_filter.h"
#include "host/host.h"
#include "host/xtables.h"
#include "isolation.h"
#include "model/owner.h"
#include "place.h"
#include "protocol/chained.h"
#include "protocol/record.h"

namespace cni::firewall {
namespace {

namespace isolation = nft::isolation;
namespace forward_accept = nft::forward_accept;
using nft::ForwardFilter;

constexpr std::string_view kName = "firewall";

Owner owner_of(const Request& request) {
  return {request.conf.name, request.container_id, request.ifname};
}

/// What ADD, CHECK and a later ADD agree on.
struct Job {
  const Request& request;
  Config conf;
  Owner owner;
  Result previous;
  Host host;
  isolation::Place place;
  std::vector<IpAddress> addresses;

  explicit Job(const Request& r)
      : request(r),
        conf(Config::parse(r)),
        owner(owner_of(r)),
        previous(required_prev_result(r, kName)),
        place(place_of(host, previous)),
        addresses(addresses_of(previous)) {
    if (conf.policy && place.link.empty()) {
      conf_root()["ingressPolicy"].fail(
          "prevResult.interfaces has no interface on the host: there is no bridge to keep apart");
    }
  }

  [[nodiscard]] JsonRef conf_root() const { return request.conf.root(); }
  [[nodiscard]] forward_accept::Selector selector() const { return {place.link, addresses}; }
};

enum class Method : unsigned char { kNftables, kIptables, kFirewalld };

bool is_firewalld(const ForwardFilter& filter) {
  return filter.kind == ForwardFilter::Kind::kFirewalld;
}

/// Who has to let the packets through, and who else would have to.
struct Plan {
  Method method = Method::kNftables;
  std::vector<ForwardFilter> obstacles;  // drop forwarded packets, and cannot be told otherwise
};

/// Without a backend in the configuration: firewalld where it runs, for nobody else can accept for
/// it; iptables' programs where its older variant has the filter table, which only they can change;
/// else we ourselves.
Method choose(Host& host, Backend backend, const std::vector<ForwardFilter>& filters) {
  switch (backend) {
    case Backend::kNftables:
      return Method::kNftables;
    case Backend::kIptables:
      return Method::kIptables;
    case Backend::kFirewalld:
      return Method::kFirewalld;
    case Backend::kAuto:
      break;
  }
  if (!host.has_nft()) return Method::kIptables;
  if (firewalld::is_running(std::ranges::any_of(filters, is_firewalld))) return Method::kFirewalld;
  const bool legacy = std::ranges::any_of(xtables::kFamilies, [](Family family) {
    return xtables::may_have_legacy_table(family, "filter");
  });
  return legacy ? Method::kIptables : Method::kNftables;
}

Plan plan(Host& host, const Config& conf) {
  Plan out;
  if (host.has_nft()) out.obstacles = nft::list_forward_filters(host.nft());
  out.method = choose(host, conf.backend, out.obstacles);
  std::erase_if(out.obstacles, [&](const ForwardFilter& filter) {
    if (is_firewalld(filter)) return out.method == Method::kFirewalld;
    return filter.kind != ForwardFilter::Kind::kForeign || !filter.drops;
  });
  return out;
}

std::string obstacle_text(const ForwardFilter& filter) {
  return concat(filter.text(), " drops forwarded packets, and cannot be told to accept some");
}

iptables_forward::Rules iptables_rules(const Job& job) {
  iptables_forward::Rules out{
      .addresses = job.addresses, .admin_chain = job.conf.admin_chain, .link = {}, .policy = {}};
  if (!job.conf.policy) return out;
  out.link = job.place.link;
  out.policy = job.conf.policy == isolation::Policy::kIsolated ? "isolated" : "same-bridge";
  return out;
}

/// Whether our own tables keep the containers apart. iptables cannot do it inside a bridge.
bool isolates_with_nft(Job& job, Method method) {
  if (!job.conf.policy) return false;
  if (method != Method::kIptables) return true;
  if (job.conf.policy != isolation::Policy::kIsolated) return false;
  if (!job.host.has_nft()) {
    log::warn("this kernel has no nf_tables: between ports of a bridge only br_netfilter isolates");
  }
  return job.host.has_nft();
}

void accept_packets(Job& job, Method method, Rollback& rollback) {
  const log::Step timed("accept forwarded packets");
  switch (method) {
    case Method::kNftables:
      if (!forward_accept::has(job.host.nft(), job.owner)) {
        rollback.on_failure("remove accepting rules",
                            [&job] { forward_accept::remove(job.host.nft(), job.owner); });
      }
      return forward_accept::add(job.host.nft(), job.owner, job.selector(), job.conf.admin_chain);
    case Method::kIptables:
      return iptables_forward::add(job.host, job.owner, iptables_rules(job));
    case Method::kFirewalld:
      return firewalld::add(job.owner, job.addresses, job.conf.zone);
  }
}

/// ADD and RESTORE. What was there before this call is not taken back when it fails.
Result make(const Request& request) {
  Job job(request);
  const auto [method, obstacles] = plan(job.host, job.conf);
  for (const ForwardFilter& filter : obstacles) log::warn(obstacle_text(filter));
  Rollback rollback;
  if (isolates_with_nft(job, method)) {
    const log::Step timed("ingress policy");
    if (!isolation::has(job.host.nft(), job.owner)) {
      rollback.on_failure("remove the ingress policy",
                          [&job] { isolation::remove(job.host.nft(), job.owner, {}); });
    }
    isolation::add(job.host.nft(), job.owner, *job.conf.policy, job.place);
  }
  accept_packets(job, method, rollback);
  rollback.commit();
  return job.previous;
}

void restore(const Request& request) { static_cast<void>(make(request)); }
bool has_rules(const Request&) { return true; }

void check(const Request& request) {
  Job job(request);
  const Method method = plan(job.host, job.conf).method;
  // What the reference made has other forms: no policy but in iptables, no rule with an owner.
  const bool ours = !record::hold(kName, request).empty();
  if (ours && isolates_with_nft(job, method)) {
    isolation::check(job.host.nft(), job.owner, *job.conf.policy, job.place);
  }
  iptables_forward::Rules rules = iptables_rules(job);
  rules.recorded = ours;
  switch (method) {
    case Method::kNftables:
      if (ours) {
        return forward_accept::check(job.host.nft(), job.owner, job.selector(),
                                     job.conf.admin_chain);
      }
      return iptables_forward::check(job.owner, rules);
    case Method::kIptables:
      return iptables_forward::check(job.owner, rules);
    case Method::kFirewalld:
      return firewalld::check(job.owner, job.addresses, job.conf.zone);
  }
}

/// What the runtime remembers of the attachment; nothing when that cannot be read.
struct Remembered {
  std::vector<std::string> ports;
  std::vector<IpAddress> addresses;

  explicit Remembered(const Request& request) {
    const auto previous = request.conf.prev_result_if_usable();
    if (!previous) return;
    addresses = addresses_of(*previous);
    for (const Interface& interface : previous->interfaces) {
      if (interface.sandbox.empty() && !interface_name_problem(interface.name)) {
        ports.push_back(interface.name);
      }
    }
  }
};

/// Where an address that the reference gave to firewalld, which nothing records, must be removed
/// from: "" where there is no such thing.
std::string zone_of_reference(Host& host, const Config& conf) {
  if (conf.backend == Backend::kFirewalld) return conf.zone;
  if (conf.backend != Backend::kAuto || !host.has_nft()) return {};
  const auto filters = nft::list_forward_filters(host.nft());
  return std::ranges::any_of(filters, is_firewalld) ? conf.zone : std::string{};
}

void del(const Request& request) {
  const Owner owner = owner_of(request);
  const Config conf = Config::parse_leniently(request);
  const Remembered remembered(request);
  Host host;
  ErrorList errors;
  if (host.has_nft()) {
    errors.attempt("remove the ingress policy",
                   [&] { isolation::remove(host.nft(), owner, remembered.ports); });
    errors.attempt("remove accepting rules", [&] { forward_accept::remove(host.nft(), owner); });
  }
  errors.attempt("remove iptables rules",
                 [&] { iptables_forward::remove(host, owner, remembered.addresses); });
  errors.attempt("remove sources of firewalld", [&] {
    firewalld::remove(owner, remembered.addresses, zone_of_reference(host, conf));
  });
  errors.throw_if_any();
}

void gc(const Request& request) {
  const ValidAttachments valid = request.conf.valid_attachments();
  if (!valid) return;  // nothing is known: nothing may be taken away
  const std::string& network = request.conf.name;
  const OwnerSet set(network, *valid);
  const auto keep = [&](std::string_view tag) { return set.contains(tag); };
  const Config conf = Config::parse_leniently(request);
  Host host;
  ErrorList errors;
  if (host.has_nft()) {
    errors.attempt("collect ingress policies",
                   [&] { isolation::collect(host.nft(), network, keep); });
    errors.attempt("collect accepting rules",
                   [&] { forward_accept::collect(host.nft(), network, keep); });
  }
  errors.attempt("collect iptables rules", [&] { iptables_forward::collect(host, network, keep); });
  errors.attempt("collect sources of firewalld", [&] { firewalld::collect(network, keep); });
  if (set.empty()) {
    errors.attempt("remove what nobody uses", [&] {
      iptables_forward::remove_unused(host);
      if (!host.has_nft()) return;
      isolation::remove_unused(host.nft());
      forward_accept::remove_unused(host.nft(), conf.admin_chain);
    });
  }
  errors.throw_if_any();
}

void require_possible(std::string_view key, const std::function<void()>& probe) {
  try {
    probe();
  } catch (const Error& error) {
    throw Error(ErrorCode::kNotAvailable, concat(key, ": ", error.msg()), error.details());
  }
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  Plan planned;
  require_possible("backend", [&] {
    planned = plan(host, conf);
    if (planned.method == Method::kIptables) xtables::require_available();
    if (planned.method == Method::kFirewalld) firewalld::require_running();
  });
  if (planned.method != Method::kIptables || host.has_nft()) {
    require_possible("nf_tables", [&] {
      isolation::probe(host.nft(), conf.policy.value_or(isolation::Policy::kSameBridge));
    });
  }
  // A backend that is named says that the administrator knows.
  if (conf.backend != Backend::kAuto) return;
  for (const ForwardFilter& filter : planned.obstacles) {
    throw Error(ErrorCode::kNotAvailable, obstacle_text(filter),
                "if its own rules accept the containers' packets, say so with \"backend\": "
                "\"nftables\"");
  }
}

}  // namespace

const Plugin plugin{.name = kName,
                    .add = make,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .has_rules = has_rules,
                    .restore = restore};

}  // namespace cni::firewall
