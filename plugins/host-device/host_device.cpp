// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// host-device: moves a device of the host into the container, and gives it back as it was.
//
// On the host:     /run/cnipp/devices/<owner tag>: what the device was
// In the sandbox:  the device, named <CNI_IFNAME>; its alias is its name on the host, its second
//                  name "cnipp-<owner tag>"
// Options and examples: docs/plugins/host-device.md

#include <unistd.h>

#include <algorithm>

#include "attach/configure_interface.h"
#include "attach/detach.h"
#include "attach/inner_link.h"
#include "attach/job.h"
#include "attach/layer3.h"
#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"
#include "device_config.h"
#include "device_record.h"
#include "handover.h"
#include "netlink/address.h"
#include "netlink/monitor.h"
#include "netlink/rule.h"
#include "plugins.h"
#include "protocol/delegate.h"

namespace cni::host_device {
namespace {

using netlink::Device;
using netlink::KernelRoute;
using netlink::Link;

constexpr const char* kPciBus = "pci";

[[noreturn]] void differs(const std::string& what) { throw Error(ErrorCode::kMismatch, what); }

/// What `useInterfaceNetwork` takes along.
struct Network {
  std::vector<IpConfig> ips;
  std::vector<Route> routes;
  std::vector<netlink::KernelRule> rules;
};

Route route_of(const KernelRoute& have) {
  Route out{.dst = have.dst, .gw = have.gateway, .mtu = have.mtu, .advmss = have.advmss};
  out.priority = have.metric;
  if (have.table != netlink::kMainTable) out.table = have.table;
  // Without a gateway it must not get that of an address.
  out.scope = have.gateway ? have.scope : netlink::kScopeLink;
  return out;
}

Network network_of(netlink::Socket& host, const Link& link) {
  Network out;
  for (const netlink::Address& address : netlink::list_addresses(host, link.ifindex)) {
    const bool lasts = address.net.family() == Family::kV4 || address.is_permanent();
    if (address.scope != netlink::kScopeUniverse || !lasts) continue;
    out.ips.push_back({.interface = 0, .address = address.net, .gateway = {}});
  }
  for (const KernelRoute& route : netlink::list_routes(host, link.ifindex)) {
    const bool is_local = route.table == netlink::kLocalTable || route.dst.address.is_link_local();
    if (!route.is_made_by_kernel() && !is_local) out.routes.push_back(route_of(route));
  }
  // What is reached directly goes before what is reached over it.
  std::ranges::stable_sort(out.routes, std::ranges::greater(),
                           [](const Route& route) { return route.scope.value_or(0); });
  for (netlink::KernelRule& rule : netlink::list_rules(host)) {
    const bool from_here = rule.source && std::ranges::any_of(out.ips, [&](const IpConfig& ip) {
                             return rule.source->contains(ip.address.address);
                           });
    const bool to_here = std::ranges::any_of(out.routes, [&](const Route& route) {
      return route.table.value_or(netlink::kMainTable) == rule.table;
    });
    if (from_here && to_here) out.rules.push_back(std::move(rule));
  }
  return out;
}

void add_rules(netlink::Socket& socket, const Network& network) {
  for (const netlink::KernelRule& rule : network.rules) {
    netlink::Message message = netlink::make_again(rule.saved, 0, 0);
    message.tolerate(EEXIST);
    socket.transact(message);
  }
}

/// Addresses of the device and of IPAM; those of both count once.
void merge(Result& result, const Network& network) {
  for (const IpConfig& ip : network.ips) {
    const bool known = std::ranges::any_of(
        result.ips, [&](const IpConfig& other) { return other.address == ip.address; });
    if (!known) result.ips.push_back(ip);
  }
  for (const Route& route : network.routes) {
    if (std::ranges::find(result.routes, route) == result.routes.end()) {
      result.routes.push_back(route);
    }
  }
}

std::string pci_id(const Config& conf, const Device* device) {
  const std::string address = conf.pci_address();
  if (!address.empty()) return address;
  return device != nullptr && device->parent_bus == kPciBus ? device->parent : std::string();
}

void require_no_record(const Owner& owner) {
  const auto earlier = find_record(owner.tag());
  if (!earlier) return;
  throw Error(ErrorCode::kConflict,
              concat("the attachment has a device already: ", quote(earlier->name)),
              "DEL must come before another ADD");
}

/// A device that programs drive without the kernel has no link: it is only reported.
Result add_for_programs(Job<Config>& job) {
  auto ipam = ipam::start_add(job.request, job.rollback);
  Result result = ipam ? ipam::finish_add(*ipam) : Result();
  for (IpConfig& ip : result.ips) ip.interface = 0;
  result.interfaces = {{.name = job.request.ifname,
                        .mac = {},
                        .sandbox = job.request.netns,
                        .socket_path = {},
                        .pci_id = pci_id(job.conf, nullptr)}};
  return result;
}

Result add_link(Job<Config>& job) {
  const Request& request = job.request;
  inner_link::require_free(job.sandbox, request.ifname);
  require_no_record(job.owner);
  const Device device = get_device(job.host.route(), job.conf, ErrorCode::kInvalidConfig);
  DeviceRecord record = record_of(job.host.route(), device, job.owner);
  record.netns = request.netns;
  record.identity = NetNsIdentity::of(job.sandbox.netns());
  Network network;
  if (job.conf.use_interface_network) network = network_of(job.host.route(), device.link);

  auto ipam = ipam::start_add(request, job.rollback);  // works while we move the device
  take(job.host, job.sandbox, device, record, request.ifname, job.rollback);
  const Link link = netlink::get_link(job.sandbox.route(), request.ifname);
  Result result = ipam ? ipam::finish_add(*ipam) : Result();
  for (IpConfig& ip : result.ips) ip.interface = 0;
  merge(result, network);
  configure_interface(job.sandbox, link, result, {.announce_v6 = true});
  add_rules(job.sandbox.route(), network);
  result.interfaces = {
      describe(netlink::get_link(job.sandbox.route(), request.ifname), request.netns)};
  result.interfaces[0].pci_id = pci_id(job.conf, &device);
  return result;
}

Result add(const Request& request) {
  Job<Config> job(request);
  require_selector(job.conf);
  if (!job.conf.has_ipam && !job.conf.use_interface_network) {
    require_expressible_without_addresses(request.conf.version);
  }
  Result result = is_for_programs(job.conf) ? add_for_programs(job) : add_link(job);
  if (job.conf.dns) result.dns = *job.conf.dns;
  // Of a device without addresses, say: it goes back as long as that can be undone.
  static_cast<void>(to_json(result, request.conf.version));
  job.rollback.commit();
  return result;
}

/// Hardware comes back to the host when its namespace has gone, which the kernel sees to later. One
/// that was pulled out does not, nor what a program made.
bool will_come_back(netlink::Socket& host, const DeviceRecord& record) {
  if (record.parent.empty()) return false;
  const std::string path = concat("/sys/bus/", record.parent_bus, "/devices/", record.parent);
  if (::access(path.c_str(), F_OK) != 0) return false;
  // It has a new link: the driver was bound anew.
  for (const Link& link : netlink::list_links(host)) {
    const auto device = netlink::find_device(host, link.name);
    if (device && device->parent == record.parent && device->parent_bus == record.parent_bus) {
      return false;
    }
  }
  return true;
}

/// The device of a namespace that has gone.
Returned await(Host& host, const DeviceRecord& record) {
  Returned out;
  netlink::Monitor monitor(host.netns(), netlink::kLinkEvents);
  const bool ended = monitor.wait_until([&] {
    out = give_back(host, nullptr, record);
    return out.found || !will_come_back(host.route(), record);
  });
  if (!ended) Deadline::expired(concat("device ", quote(record.name), " has not come back"));
  return out;
}

bool is_same(const DeviceRecord& record, const NetNs& netns) {
  return record.identity.compare(NetNsIdentity::of(netns)) != NetNsIdentity::Match::kOther;
}

/// The namespace that the record tells, if it is still the same.
std::optional<netlink::Socket> recorded_socket(const DeviceRecord& record) {
  const auto netns = NetNs::open_if_exists(record.netns);
  if (!netns || !is_same(record, *netns)) return std::nullopt;
  return netlink::Socket::open_in(*netns, netlink::Socket::Protocol::kRoute);
}

/// In the sandbox, else where the record says; "" or the name that it has instead of its own.
std::string return_recorded(Host& host, Sandbox* sandbox, const DeviceRecord& record) {
  Returned returned = give_back(host, sandbox != nullptr ? &sandbox->route() : nullptr, record);
  bool namespace_lives = sandbox != nullptr && is_same(record, sandbox->netns());
  if (!returned.found && !namespace_lives) {
    if (auto socket = recorded_socket(record)) {
      namespace_lives = true;
      returned = give_back(host, &*socket, record);
    }
  }
  if (!returned.found && !namespace_lives) returned = await(host, record);
  if (!returned.found) log::warn(concat("device ", quote(record.name), " is nowhere any more"));
  remove_record(record.owner);
  return returned.other_name;
}

void report_other_name(const std::string& own, const std::string& other) {
  if (other.empty()) return;
  throw Error(ErrorCode::kConflict,
              concat("the device is back on the host as ", quote(other), ": its name ", quote(own),
                     " is taken"),
              "rename it by hand; there is nothing left to DEL");
}

void del(const Request& request) {
  std::string own;
  std::string other;
  const auto remove = [&](const Detaching& at) {
    Sandbox* const sandbox = at.sandbox ? &*at.sandbox : nullptr;
    if (const auto record = find_record(at.owner.tag())) {
      own = record->name;
      other = return_recorded(at.host, sandbox, *record);
    } else if (sandbox != nullptr) {
      const auto link = netlink::find_link(sandbox->route(), request.ifname);
      if (link) own = link->alias;
      other = give_back_unrecorded(at.host, sandbox->route(), request.ifname).other_name;
    }
    remove_record(at.owner.tag());  // one that cannot be read
  };
  const Piece pieces[] = {{.what = "the device", .remove = remove, .uses_addresses = true},
                          {.what = "the device's name",
                           .remove = [&](const Detaching&) { report_other_name(own, other); }}};
  detach(request, pieces);
}

void gc(const Request& request, const OwnerSet& valid) {
  const auto collect_devices = [&](const Collecting& at) {
    ErrorList errors;
    for (const DeviceRecord& record : list_others(at.request.conf.name, at.valid)) {
      errors.attempt(concat("give the device ", quote(record.name), " back"), [&] {
        report_other_name(record.name, return_recorded(at.host, nullptr, record));
      });
    }
    errors.throw_if_any();
  };
  const Piece pieces[] = {
      {.what = "devices", .remove = {}, .collect = collect_devices, .uses_addresses = true}};
  collect(request, valid, pieces);
}

/// The container's device, compared with all but its addresses.
Link check_link(Sandbox& sandbox, const Request& request, const Config& conf,
                const Interface& reported) {
  const auto device = netlink::find_device(sandbox.route(), request.ifname);
  const std::string name = concat("interface ", quote(request.ifname));
  if (!device) differs(concat(name, " is missing in the container"));
  const Link& link = device->link;
  if (link.name != request.ifname) differs(concat(name, " is called ", quote(link.name)));
  const std::string mark = DeviceRecord::mark_of(request.owner().tag());
  const auto marked = std::ranges::find_if(device->second_names, DeviceRecord::is_mark);
  const auto record = find_record(request.owner().tag());
  if (marked != device->second_names.end() && *marked != mark) {
    differs(concat(name, " is another attachment's: ", quote(*marked)));
  }
  if (record && marked == device->second_names.end()) {
    differs(concat(name, " is not the device ", quote(record->name), ": it has no second name ",
                   quote(mark)));
  }
  if (!record && marked != device->second_names.end()) {
    differs(concat(name, " could not be given back: nothing is recorded about it"));
  }
  if (!reported.pci_id.empty() && pci_id(conf, &*device) != reported.pci_id) {
    differs(concat(name, " is not of PCI device ", reported.pci_id));
  }
  check_reported(link, reported);
  if (!link.is_up()) differs(concat(name, " is down"));
  return link;
}

void check(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  const auto previous = request.conf.prev_result();
  if (!previous) throw Error(ErrorCode::kInvalidConfig, "required prevResult missing");
  const Interface* const reported = previous->find_interface(request.ifname, request.netns);
  if (reported == nullptr) {
    differs(concat("prevResult.interfaces: no entry for ", quote(request.ifname), " in sandbox ",
                   quote(request.netns)));
  }
  if (!is_for_programs(conf)) {
    const Link link = check_link(sandbox, request, conf, *reported);
    check_interface(sandbox, link, only_interface(*previous, request.ifname));
  }
  ipam::check(request);
}

/// A device that a container has is no fault: that is what it is for.
void status(const Request& request) {
  const Config conf = Config::parse(request);
  Host host;
  require_possible("permissions", [&] { require_permissions(host); });
  const auto in_use = [&] {
    return std::ranges::any_of(list_records(), [&](const DeviceRecord& record) {
      return (!conf.device.empty() && record.name == conf.device) ||
             (conf.hwaddr && record.mac == *conf.hwaddr) ||
             (!conf.pci.empty() && record.parent == conf.pci);
    });
  };
  if (conf.names_one() && !is_for_programs(conf) && !in_use()) {
    static_cast<void>(get_device(host.route(), conf, ErrorCode::kNotAvailable));
  }
  ipam::status(request);
}

}  // namespace

const Plugin plugin{
    .name = "host-device", .add = add, .check = check, .del = del, .gc = gc, .status = status};

}  // namespace cni::host_device
