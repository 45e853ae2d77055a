// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/link_plugin.h"

#include <cerrno>
#include <utility>

#include "attach/configure_interface.h"
#include "attach/job.h"
#include "attach/layer3.h"
#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "host/sysctl.h"
#include "netlink/monitor.h"
#include "netlink/route.h"
#include "protocol/chained.h"
#include "protocol/delegate.h"

namespace cni::link_plugin {
namespace {

using netlink::Link;
using Job = cni::Job<Spec>;

[[noreturn]] void differs(const std::string& what) { throw Error(ErrorCode::kMismatch, what); }

netlink::Socket& lower_socket(Host& host, Sandbox& sandbox, const Spec& spec) {
  return spec.keys.lower_in_container ? sandbox.route() : host.route();
}

std::optional<Link> find_lower(netlink::Socket& socket, const Spec& spec) {
  if (spec.lower == Lower::kNone) return std::nullopt;
  if (!spec.keys.lowers.empty()) return lower_link::find(socket, spec.keys.lowers);
  const auto ifindex = netlink::find_default_link(socket);
  return ifindex ? netlink::find_link(socket, *ifindex) : std::nullopt;
}

std::string missing_lower(const Spec& spec) {
  const auto* const where = spec.keys.lower_in_container ? "the container" : "the host";
  if (!spec.keys.lowers.empty()) {
    return concat("master: ", where, " has no link ", lower_link::text_of(spec.keys.lowers));
  }
  return concat("master: not given, and ", where,
                " has no default route whose link could be taken");
}

void require_named_lower(const Request& request, const Spec& spec) {
  if (spec.lower != Lower::kNamed || !spec.keys.lowers.empty()) return;
  request.conf.root()["master"].fail("missing: the link that this one is to stand on");
}

/// Throws Error{code} when the link cannot stand on what there is.
std::optional<Link> require_lower(netlink::Socket& socket, const Spec& spec, ErrorCode code) {
  if (spec.lower == Lower::kNone) return std::nullopt;
  auto lower = find_lower(socket, spec);
  if (!lower) throw Error(code, missing_lower(spec));
  if (spec.keys.mtu > lower->mtu) {
    throw Error(
        ErrorCode::kInvalidConfig,
        concat("mtu: invalid MTU ", spec.keys.mtu, ", must be [0, master MTU(", lower->mtu, ")]"),
        concat("the master is ", quote(lower->name)));
  }
  if (spec.lower_must_be_up && !lower->is_up()) {
    throw Error(code, concat("master: link ", quote(lower->name), " is down"),
                concat("a link of kind ", spec.kind, " cannot be set up on it"));
  }
  return lower;
}

Link create(Job& job, const std::optional<Link>& lower) {
  const Spec& spec = job.conf;
  inner_link::Wanted wanted;
  wanted.kind = spec.kind;
  wanted.fill = spec.fill;
  wanted.create = spec.create;
  wanted.common = {.name = job.request.ifname, .mac = spec.keys.mac, .mtu = spec.keys.mtu};
  wanted.lower = lower;
  wanted.lower_in_container = spec.keys.lower_in_container;
  try {
    return inner_link::create(job.host, job.sandbox, wanted, job.owner, job.rollback);
  } catch (const KernelError&) {
    if (spec.require_room && lower) {
      spec.require_room(lower_socket(job.host, job.sandbox, spec), *lower);
    }
    throw;
  }
}

/// Gives the link its addresses and routes, and sets it up.
void configure(Job& job, const Link& link, const Result& result, int index) {
  const auto dad = job.conf.keys.enable_dad ? netlink::Dad::kPerform : netlink::Dad::kSkip;
  configure_interface(job.sandbox, link, result, {.index = index, .dad = dad, .announce_v6 = true});
}

/// The link as it is at the end: ready, where what it stands on is.
Link wait_until_ready(Job& job, const Link& link, const std::optional<Link>& lower) {
  netlink::Socket& socket = job.sandbox.route();
  const bool will_be = lower && lower->is_up() && lower->is_operational();
  if (will_be && !netlink::wait_until_operational(socket, job.sandbox.netns(), link)) {
    Deadline::expired(concat("link ", quote(link.name), " did not come up"));
  }
  return netlink::get_link(socket, link.name);
}

/// What the plugins before have left; the container's link is to be appended.
Result previous_result(const Request& request) {
  Result result = required_prev_result(request, request.conf.type);
  if (result.ips.empty()) {
    throw Error(ErrorCode::kInvalidConfig, "ipam.type: missing, and prevResult has no addresses");
  }
  return result;
}

/// Throws Error{kInvalidConfig} when it is to have addresses of that family.
void switch_ipv6_off(Sandbox& sandbox, const Link& link, const Result& result) {
  for (const IpConfig& ip : result.ips) {
    if (ip.address.address.is_v4()) continue;
    throw Error(ErrorCode::kInvalidConfig,
                concat("ipv6: disabled, but the interface is given ", ip.address.text()));
  }
  sandbox.run([&] { sysctl::write(sysctl::link_entry("ipv6", link.name, "disable_ipv6"), "1"); });
}

/// Makes the link with the addresses of `result`, whose last interface it becomes.
void attach(Job& job, Result& result, const Link& link, const std::optional<Link>& lower) {
  const auto index = static_cast<int>(result.interfaces.size());
  for (IpConfig& ip : result.ips) {
    ip.interface = index;
    require_possible_address(ip);
  }
  if (job.conf.keys.no_ipv6) switch_ipv6_off(job.sandbox, link, result);
  if (job.conf.finish) job.conf.finish(job.sandbox.route(), link);
  configure(job, link, result, index);
  result.interfaces.push_back(describe(wait_until_ready(job, link, lower), job.request.netns));
}

void check_lower(Host& host, Sandbox& sandbox, const Spec& spec, const Link& link) {
  if (spec.lower == Lower::kNone) return;
  const auto lower = find_lower(lower_socket(host, sandbox, spec), spec);
  if (!lower) differs(missing_lower(spec));
  // Indices of different namespaces coincide.
  if (link.peer != lower->ifindex || link.peer_elsewhere == spec.keys.lower_in_container) {
    const auto now = link.peer_elsewhere == spec.keys.lower_in_container
                         ? std::nullopt
                         : netlink::find_link(lower_socket(host, sandbox, spec), link.peer);
    differs(concat("master: interface ", quote(link.name), " stands on ",
                   now ? concat("link ", quote(now->name)) : "another link", " instead of ",
                   quote(lower->name)));
  }
}

/// The container's link, compared with all but its addresses.
Link check_link(Host& host, Sandbox& sandbox, const Request& request, const Spec& spec,
                const Interface& reported) {
  netlink::Message look = netlink::get_link_message(request.ifname);
  sandbox.route().transact(look);
  const auto link = netlink::link_of(look);
  const std::string name = concat("interface ", quote(request.ifname));
  if (!link) differs(concat(name, " is missing in the container"));
  if (link->kind != spec.kind) {
    differs(concat(name, " is of kind ", quote(link->kind), " instead of ", spec.kind));
  }
  // The reference's links have no alias.
  const Owner owner = request.owner();
  if (!link->alias.empty() && Owner::tag_of(link->alias) != owner.tag()) {
    differs(concat(name, " has another owner's alias: ", quote(link->alias)));
  }
  check_reported(*link, reported);
  if (spec.keys.mtu != 0 && link->mtu != spec.keys.mtu) {
    differs(concat(name, " has MTU ", link->mtu, " instead of ", spec.keys.mtu));
  }
  check_lower(host, sandbox, spec, *link);
  if (spec.check) spec.check(*link, netlink::kind_data(look));
  if (!link->is_up()) differs(concat(name, " in the container is down"));
  return *link;
}

}  // namespace

Keys parse_keys(const Request& request, const KeyRules& rules) {
  const JsonRef root = request.conf.root();
  Keys out;
  const JsonRef mtu = root["mtu"];
  if (mtu.present() && mtu.int_or(0, INT32_MIN, INT32_MAX) < 0) mtu.fail("must not be negative");
  out.mtu = parse_mtu(mtu);
  if (rules.args) static_cast<void>(CniArgs::parse(request.args, {"MAC"}));
  out.takes_mac = rules.mac;
  if (rules.mac) out.mac = parse_mac(request, root["mac"]);
  out.lowers = lower_link::parse_choices(root["master"]);
  out.lower_in_container = root["linkInContainer"].bool_or(false);
  out.enable_dad = root["enabledad"].bool_or(false);
  const std::string ipv6 = root["ipv6"].string_or("enabled");
  if (ipv6 != "enabled" && ipv6 != "disabled") {
    root["ipv6"].fail(concat("must be \"enabled\" or \"disabled\": ", quote(ipv6)));
  }
  out.no_ipv6 = ipv6 == "disabled";
  out.has_ipam = !root["ipam"]["type"].string_or("").empty();
  out.dns = parse_dns(root["dns"]);
  return out;
}

Result add(const Request& request, const Spec& spec) {
  require_named_lower(request, spec);
  const bool chained = spec.addresses == Addresses::kPrevResult && !spec.keys.has_ipam;
  Result result = chained ? previous_result(request) : Result();
  if (!chained && !spec.keys.has_ipam) require_expressible_without_addresses(request.conf.version);
  Job job(request, spec);
  inner_link::require_free(job.sandbox, request.ifname);
  const auto lower =
      require_lower(lower_socket(job.host, job.sandbox, spec), spec, ErrorCode::kInvalidConfig);
  auto ipam = ipam::start_add(request, job.rollback);  // works while we make the link
  const Link link = create(job, lower);
  if (ipam) {
    result = ipam::finish_add(*ipam);
    result.interfaces.clear();
  }
  attach(job, result, link, lower);
  if (spec.keys.dns) result.dns = *spec.keys.dns;
  job.rollback.commit();
  return result;
}

void check(const Request& request, const Spec& spec) {
  Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const auto previous = request.conf.prev_result();
  if (!previous) throw Error(ErrorCode::kInvalidConfig, "required prevResult missing");
  const Interface* const reported = previous->find_interface(request.ifname, request.netns);
  if (reported == nullptr) {
    differs(concat("prevResult.interfaces: no entry for ", quote(request.ifname), " in sandbox ",
                   quote(request.netns)));
  }
  const Link link = check_link(host, sandbox, request, spec, *reported);
  if (spec.keys.no_ipv6) {
    const std::string entry = sysctl::link_entry("ipv6", link.name, "disable_ipv6");
    if (sandbox.run([&] { return sysctl::read(entry); }).value_or("1") != "1") {
      differs(concat("ipv6: ", entry, " is not 1 in the container"));
    }
  }
  if (spec.check_inside) spec.check_inside(sandbox.route(), link);
  const Result ours = only_interface(*previous, request.ifname);
  check_interface(sandbox, link, ours);
  ipam::check(request);
}

void del(const Request& request, std::string_view plugin, std::vector<std::string> kinds) {
  const Piece pieces[] = {inner_link::piece(plugin, std::move(kinds))};
  detach(request, pieces);
}

void gc(const Request& request, const OwnerSet& valid, std::string_view plugin,
        std::vector<std::string> kinds) {
  const Piece pieces[] = {inner_link::piece(plugin, std::move(kinds))};
  collect(request, valid, pieces);
}

void status(const Request& request, const Spec& spec) {
  require_named_lower(request, spec);
  Host host;
  require_possible("permissions", [&] { require_permissions(host); });
  if (!spec.create) {
    require_possible(spec.kind,
                     [&] { inner_link::probe(spec.kind, spec.fill, spec.lower != Lower::kNone); });
  }
  // What is in a container shows when there is one.
  if (!spec.keys.lower_in_container) {
    const auto lower = require_lower(host.route(), spec, ErrorCode::kNotAvailable);
    if (lower && !lower->is_up()) {
      throw Error(ErrorCode::kNotAvailable,
                  concat("master: link ", quote(lower->name), " is down"));
    }
    if (lower && spec.require_room) spec.require_room(host.route(), *lower);
  }
  ipam::status(request);
}

void restore(const Request& request, const Spec& spec) {
  Job job(request, spec);
  if (netlink::find_link(job.sandbox.route(), request.ifname)) return;
  Result previous = required_prev_result(request, "restoring");
  const Interface* const reported = previous.find_interface(request.ifname, request.netns);
  if (reported != nullptr && job.conf.keys.takes_mac) {
    job.conf.keys.mac = Mac::try_parse(reported->mac);
  }
  const auto lower =
      require_lower(lower_socket(job.host, job.sandbox, spec), spec, ErrorCode::kInvalidConfig);
  const Link link = create(job, lower);
  Result ours = only_interface(std::move(previous), request.ifname);
  ours.interfaces.clear();
  attach(job, ours, link, lower);
  job.rollback.commit();
}

}  // namespace cni::link_plugin
