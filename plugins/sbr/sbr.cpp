// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// sbr: what the container sends from an address of the interface leaves by the interface.
//
// On the host:     a record of the attachment
// In the sandbox:  a rule for each address, and a routing table with the routes of <CNI_IFNAME>
// Options and examples: docs/plugins/sbr.md
#include <algorithm>

#include "attach/job.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "netlink/address.h"
#include "plugins.h"
#include "protocol/chained.h"
#include "protocol/record.h"
#include "sbr_config.h"
#include "tables.h"

namespace cni::sbr {
namespace {

using netlink::Link;

constexpr const char* kName = "sbr";

/// Two of us in one container would choose the same table.
std::optional<FileLock> lock() { return FileLock::of_suite(kName); }

/// Routes that have gone to a table of ours are told to be there.
void update_routes(Result& result, const std::vector<Served>& served) {
  for (Route& route : result.routes) {
    if (route.table) continue;
    for (const Served& one : served) {
      const auto& gateway = route.gw ? route.gw : one.source.gateway;
      if (route.dst.family() != one.source.address.family() || !gateway) continue;
      if (!one.source.address.network().contains(*gateway)) continue;
      route.gw = gateway;
      route.table = one.table;
      break;
    }
  }
}

Result add(const Request& request) {
  Job<Config> job(request);
  Result result = required_prev_result(request, kName);
  const std::vector<Source> sources = sources_of(job.conf, result, request.ifname);
  const Link link = netlink::get_link(job.sandbox.route(), request.ifname);
  const auto held = lock();
  std::vector<IpNet> addresses;
  for (const Source& source : sources) addresses.push_back(source.address);
  job.rollback.on_failure("take rules and tables back", [&job, link, addresses] {
    remove(job.sandbox.route(), &link, addresses);
  });
  const auto served = make(job.sandbox.route(), link, job.conf, sources);
  // Where the version can say it, and the plugins before compare it.
  if (!job.conf.table && request.conf.version >= SpecVersion::k110) update_routes(result, served);
  static_cast<void>(to_json(result, request.conf.version));
  job.rollback.commit();
  return result;
}

/// What the runtime remembers, and what is on the interface now.
void remove_from(netlink::Socket& socket, const NetConf& conf, const std::string& ifname) {
  const auto link = netlink::find_link(socket, ifname);
  std::vector<IpNet> addresses;
  if (const auto previous = conf.prev_result_if_usable()) {
    addresses = attachment_addresses(*previous, ifname);
  }
  if (link) {
    for (const auto& address : netlink::list_addresses(socket, link->ifindex)) {
      addresses.push_back(address.net);
    }
  }
  const auto held = lock();
  remove(socket, link ? &*link : nullptr, addresses);
}

void remove_recorded(const record::Record& record) {
  if (!record.is_live()) return;
  const auto netns = NetNs::open_if_exists(record.netns);
  if (!netns) return;
  auto socket = netlink::Socket::open_in(*netns, netlink::Socket::Protocol::kRoute);
  NetConf conf;
  conf.document = record.config;
  remove_from(socket, conf, record.attachment.ifname);
}

void del(const Request& request) {
  const Host host;
  auto sandbox = Sandbox::open_if_exists(request.netns, host, request.netns_override);
  if (sandbox) {
    remove_from(sandbox->route(), request.conf, request.ifname);
  } else if (const auto record = record::find(kName, request); record && request.netns.empty()) {
    remove_recorded(*record);
  }
}

void check(const Request& request) {
  const Config conf = Config::parse(request);
  const Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const Result previous = required_prev_result(request, kName);
  const auto link = netlink::find_link(sandbox.route(), request.ifname);
  if (!link) {
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(request.ifname), " is missing in the container"));
  }
  check(sandbox.route(), *link, conf, sources_of(conf, previous, request.ifname), previous.routes);
}

void gc(const Request& request, const OwnerSet& valid) {
  ErrorList errors;
  for (const record::Record& record : record::list()) {
    if (record.plugin != kName || record.network != request.conf.name) continue;
    if (valid.contains(record.attachment)) continue;
    errors.attempt(concat("remove the rules of ", quote(record.attachment.container_id)),
                   [&] { remove_recorded(record); });
  }
  errors.throw_if_any();
}

void status(const Request& request) {
  static_cast<void>(Config::parse(request));
  Host host;
  require_permissions(host);
  // The kernel may have been built without rules.
  const NetNs scratch = NetNs::create();
  auto socket = netlink::Socket::open_in(scratch, netlink::Socket::Protocol::kRoute);
  require_possible("rules (CONFIG_IP_MULTIPLE_TABLES)", [&] {
    netlink::Message probe = netlink::new_rule({.source = IpNet::host(IpAddress::v4(0x7f000001)),
                                                .table = 100,
                                                .priority = {},
                                                .protocol = 0});
    socket.transact(probe);
  });
}

}  // namespace

const Plugin plugin{.name = kName,
                    .add = add,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .has_rules = [](const Request&) { return true; },
                    .restore = [](const Request& request) { static_cast<void>(add(request)); }};

}  // namespace cni::sbr
