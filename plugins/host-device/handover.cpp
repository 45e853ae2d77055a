// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "handover.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/monitor.h"

namespace cni::host_device {
namespace {

using netlink::Device;
using netlink::Link;
using netlink::Message;
using netlink::Saved;

void send(netlink::Socket& socket, Message message) { socket.transact(message); }

/// The name to give it on the host, where nobody else has it.
std::string free_name(netlink::Socket& host, const DeviceRecord& record, int own_ifindex) {
  const auto holder = netlink::find_link(host, record.name);
  return !holder || holder->ifindex == own_ifindex ? record.name : record.other_name();
}

/// A second name that a link of the host has by now keeps the device away.
void drop_taken_names(netlink::Socket& host, netlink::Socket& inside, const Device& device) {
  for (const std::string& name : device.second_names) {
    if (!netlink::find_link(host, name)) continue;
    send(inside, netlink::remove_name(device.link.name, name));
  }
}

void move_to_host(Host& host, netlink::Socket& inside, const Device& device,
                  const DeviceRecord& record) {
  drop_taken_names(host.route(), inside, device);
  constexpr int kNoIndex = 0;  // its number belongs to another namespace
  Message move =
      netlink::move_device(device.link, {.netns = host.netns().fd(),
                                         .name = free_name(host.route(), record, kNoIndex),
                                         .alias = record.alias});
  move.tolerate(EEXIST);
  inside.transact(move);
  if (move.error() == 0) return;
  // Somebody took the name meanwhile.
  send(inside, netlink::move_device(device.link, {.netns = host.netns().fd(),
                                                  .name = record.other_name(),
                                                  .alias = record.alias}));
}

void restore_names(netlink::Socket& host, Device& device, const DeviceRecord& record) {
  Link& link = device.link;
  const std::string name = free_name(host, record, link.ifindex);
  if (link.name != name) {
    if (link.is_up()) send(host, netlink::change_link(link.ifindex, link.name, {.up = false}));
    send(host, netlink::rename_link(link, name));
    link.name = name;
    link.flags = 0;
  }
  std::vector<std::string> now = device.second_names;
  std::erase(now, record.mark());
  if (now == record.second_names) return;
  // All of them, so that they are in the order in which they were.
  for (const std::string& second : now) send(host, netlink::remove_name(name, second));
  for (const std::string& second : record.second_names) {
    Message add = netlink::add_name(name, second);
    add.tolerate(EEXIST);
    host.transact(add);
    if (add.error() != 0) log::warn(concat("the second name ", quote(second), " is taken"));
  }
}

void restore_attributes(netlink::Socket& host, const Link& link, const DeviceRecord& record) {
  netlink::LinkChange change;
  if (link.alias != record.alias) change.alias = record.alias;
  if (link.mac != record.mac) change.mac = record.mac;
  if (link.mtu != record.mtu) change.mtu = record.mtu;
  if (change.alias || change.mac || change.mtu) {
    send(host, netlink::change_link(link.ifindex, link.name, change, "restore link"));
  }
  if (!record.master.empty()) {
    const auto master = netlink::find_link(host, record.master);
    if (master && link.master != master->ifindex) {
      send(host, netlink::set_master(link, master->ifindex));
    }
  }
  if (link.is_up() != record.up) {
    send(host, netlink::change_link(link.ifindex, link.name, {.up = record.up}));
  }
}

/// Before it is up: they say what addresses the kernel gives it. In this thread's namespace.
void restore_sysctls(const Link& link, const DeviceRecord& record) {
  for (const auto& [family, key, value] : record.sysctls) {
    ErrorList passed_over;  // logged; one that cannot be written was not changed either
    passed_over.attempt("restore a sysctl", [&, &f = family, &k = key, &v = value] {
      const std::string entry = sysctl::link_entry(f, link.name, k);
      const auto now = sysctl::read(entry);
      if (now && *now != v) sysctl::assign(entry, v);
    });
  }
}

/// One after the other: a route may need the one before it. What others have by now stays away: the
/// device is back, and a repetition of the verb would meet the same. Those that failed.
std::vector<Saved> restore_all(netlink::Socket& host, const std::vector<Saved>& all,
                               const DeviceRecord& record, int ifindex) {
  std::vector<Saved> failed;
  for (const Saved& saved : all) {
    try {
      Message message = netlink::make_again(saved, record.ifindex, ifindex);
      message.tolerate(EEXIST);
      host.transact(message);
    } catch (const Error& error) {
      log::warn(concat("not restored on link ", quote(record.name), ": ", error.what()));
      failed.push_back(saved);
    }
  }
  return failed;
}

/// A route can have an IPv6 address as its source only when that is settled, which it will not be
/// without a carrier.
void restore_late(Host& host, const std::vector<Saved>& routes, const DeviceRecord& record,
                  int ifindex) {
  if (routes.empty()) return;
  const auto link = netlink::find_link(host.route(), ifindex);
  if (!link || !link->is_operational()) return;
  ErrorList passed_over;
  passed_over.attempt("wait for addresses", [&] {
    static_cast<void>(netlink::wait_until_settled(host.route(), host.netns(), ifindex, link->name));
    static_cast<void>(restore_all(host.route(), routes, record, ifindex));
  });
}

/// The device is on the host.
Returned settle(Host& host, Device device, const DeviceRecord& record) {
  netlink::Socket& socket = host.route();
  restore_names(socket, device, record);
  restore_sysctls(device.link, record);
  restore_attributes(socket, device.link, record);
  const int ifindex = device.link.ifindex;
  static_cast<void>(restore_all(socket, record.addresses, record, ifindex));
  if (record.up) {
    restore_late(host, restore_all(socket, record.routes, record, ifindex), record, ifindex);
  }
  send(socket, netlink::remove_name(device.link.name, record.mark()));
  const bool has_own_name = device.link.name == record.name;
  return {.found = true, .other_name = has_own_name ? std::string() : device.link.name};
}

}  // namespace

void take(Host& host, Sandbox& sandbox, const Device& device, const DeviceRecord& record,
          const std::string& ifname, Rollback& rollback) {
  const log::Step timed("move the device");
  rollback.on_failure("give the device back", [&host, &sandbox, record] {
    give_back(host, &sandbox.route(), record);
    remove_record(record.owner);
  });
  save(record);
  const Link& link = device.link;
  std::vector<Message> messages;
  messages.push_back(netlink::add_name(link.name, record.mark()));
  messages.back().tolerate(EEXIST);
  for (const std::string& second : record.second_names) {
    if (second == ifname) messages.push_back(netlink::remove_name(link.name, second));
  }
  // Each only if the one before was done: the device is found by its mark.
  for (Message& message : messages) host.route().transact(message);
  send(host.route(),
       netlink::move_device(link,
                            {.netns = sandbox.netns().fd(), .name = ifname, .alias = link.name}));
}

Returned give_back(Host& host, netlink::Socket* inside, const DeviceRecord& record) {
  const log::Step timed("give the device back");
  if (inside != nullptr) {
    if (const auto there = netlink::find_device(*inside, record.mark())) {
      move_to_host(host, *inside, *there, record);
    }
  }
  auto here = netlink::find_device(host.route(), record.mark());
  if (!here) return {};
  return settle(host, *std::move(here), record);
}

Returned give_back_unrecorded(Host& host, netlink::Socket& inside, const std::string& ifname) {
  const auto device = netlink::find_device(inside, ifname);
  if (!device || interface_name_problem(device->link.alias)) return {};
  const bool is_ours = Owner::is_tag(Owner::tag_of(device->link.alias)) ||
                       std::ranges::any_of(device->second_names, DeviceRecord::is_mark);
  if (is_ours) return {};  // another attachment's
  DeviceRecord known;
  known.name = device->link.alias;
  const bool taken = netlink::find_link(host.route(), known.name).has_value();
  if (taken) known.name = ifname;
  send(inside, netlink::move_device(device->link,
                                    {.netns = host.netns().fd(), .name = known.name, .alias = {}}));
  return {.found = true, .other_name = taken ? known.name : std::string()};
}

}  // namespace cni::host_device
