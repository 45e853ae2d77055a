// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/inner_link.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "protocol/record.h"

namespace cni::inner_link {
namespace {

using netlink::Link;
using netlink::Message;

constexpr int kIndexTries = 16;
constexpr int kFirstIndex = 1 << 16;

bool is_unlabelled(const Link& link) {
  return link.alias.empty() || link.group == netlink::kUnfinishedGroup;
}

bool is_of(const Link& link, const Owner& owner) {
  return Owner::tag_of(link.alias) == owner.tag();
}

bool is_of_another(const Link& link, const Owner& owner) {
  const std::string_view tag = Owner::tag_of(link.alias);
  return Owner::is_tag(tag) && tag != owner.tag();
}

/// Deletes what create() made, also when its answer never arrived.
void undo(Sandbox& sandbox, const Wanted& wanted, const Owner& owner, bool created) {
  const auto link = netlink::find_link(sandbox.route(), wanted.common.name);
  if (!link || link->kind != wanted.kind) return;
  const bool ours = created ? is_unlabelled(*link) || is_of(*link, owner)
                            : link->group == netlink::kUnfinishedGroup;
  if (ours) netlink::delete_link_if_exists(sandbox.route(), link->ifindex, link->name);
}

Message creation_of(const Wanted& wanted, const netlink::NewLink& common) {
  Message creation = netlink::new_link(common, wanted.kind, wanted.fill);
  creation.tolerate(EEXIST).tolerate(EBUSY);
  return creation;
}

/// Before Linux 6.14 the kernel looks for the new link's name in the namespace of the socket, where
/// the host may well have an "eth0". By an index of its own the link is not taken for that.
void create_elsewhere(Host& host, const Wanted& wanted, netlink::NewLink common) {
  Message creation = creation_of(wanted, common);
  host.route().transact(creation);
  if (creation.error() == EEXIST && netlink::find_link(host.route(), common.name)) {
    for (int i = 0; i < kIndexTries && (creation.error() == EEXIST || creation.error() == EBUSY);
         ++i) {
      const auto bytes = Mac::random().bytes;
      common.ifindex = kFirstIndex + bytes[4] * 256 + bytes[5];
      creation = creation_of(wanted, common);
      host.route().transact(creation);
    }
  }
  if (creation.error() != 0) creation.fail();
}

void create_in_place(Sandbox& sandbox, const Wanted& wanted, const netlink::NewLink& common) {
  Message creation = creation_of(wanted, common);
  sandbox.route().transact(creation);
  if (creation.error() != 0) creation.fail();
}

void make(Host& host, Sandbox& sandbox, const Wanted& wanted) {
  if (wanted.create) {
    sandbox.run([&] { wanted.create(wanted.common.name); });
    return;
  }
  netlink::NewLink common = wanted.common;
  common.group = netlink::kUnfinishedGroup;
  if (wanted.lower) common.lower = wanted.lower->ifindex;
  if (wanted.lower && !wanted.lower_in_container) {
    common.netns = sandbox.netns().fd();
    create_elsewhere(host, wanted, common);
  } else {
    create_in_place(sandbox, wanted, common);
  }
}

bool has_kind(const Link& link, const std::vector<std::string>& kinds) {
  return std::ranges::find(kinds, link.kind) != kinds.end();
}

/// By the tag alone: in a namespace that only a record tells, another container may live by now.
void remove_labelled(netlink::Socket& socket, std::string_view tag,
                     const std::vector<std::string>& kinds) {
  for (const Link& link : netlink::list_links(socket)) {
    if (!has_kind(link, kinds) || Owner::tag_of(link.alias) != tag) continue;
    netlink::delete_link_if_exists(socket, link.ifindex, link.name);
  }
}

void remove_recorded(const record::Record& record, const std::vector<std::string>& kinds) {
  if (!record.is_live()) return;
  const auto netns = NetNs::open_if_exists(record.netns);
  if (!netns) return;
  auto socket = netlink::Socket::open_in(*netns, netlink::Socket::Protocol::kRoute);
  const Owner owner(record.network, record.attachment.container_id, record.attachment.ifname);
  remove_labelled(socket, owner.tag(), kinds);
}

void remove(const Detaching& at, std::string_view plugin, const std::vector<std::string>& kinds) {
  if (at.sandbox) {
    netlink::Socket& socket = at.sandbox->route();
    const auto link = netlink::find_link(socket, at.request.ifname);
    if (link && has_kind(*link, kinds) && !is_of_another(*link, at.owner)) {
      netlink::delete_link_if_exists(socket, link->ifindex, link->name);
      return;
    }
    remove_labelled(socket, at.owner.tag(), kinds);
  } else if (at.request.netns.empty()) {
    if (const auto record = record::find(plugin, at.request)) remove_recorded(*record, kinds);
  }
}

void collect(const Collecting& at, std::string_view plugin, const std::vector<std::string>& kinds) {
  ErrorList errors;
  for (const record::Record& record : record::list()) {
    if (record.plugin != plugin || record.network != at.request.conf.name) continue;
    const auto& [id, ifname] = record.attachment;
    const Owner owner(record.network, id, ifname);
    if (at.valid.contains(owner.tag())) continue;
    errors.attempt(concat("delete the interface ", quote(ifname), " of ", quote(id)),
                   [&] { remove_recorded(record, kinds); });
  }
  errors.throw_if_any();
}

}  // namespace

void require_free(Sandbox& sandbox, const std::string& ifname) {
  if (!netlink::find_link(sandbox.route(), ifname)) return;
  throw Error(ErrorCode::kConflict,
              concat("the container has an interface ", quote(ifname), " already"),
              "DEL must come before another ADD");
}

Link create(Host& host, Sandbox& sandbox, const Wanted& wanted, const Owner& owner,
            Rollback& rollback) {
  const log::Step timed("create the link");
  const std::string& name = wanted.common.name;
  const auto created = std::make_shared<bool>(false);
  rollback.on_failure("delete the link", [&sandbox, wanted, owner, created] {
    undo(sandbox, wanted, owner, *created);
  });
  make(host, sandbox, wanted);
  *created = true;
  netlink::LinkChange change{.alias = owner.label({}, netlink::kMaxAlias), .group = 0};
  if (wanted.create) {
    change.mac = wanted.common.mac;
    if (wanted.common.mtu != 0) change.mtu = wanted.common.mtu;
  }
  Message label = netlink::change_link(0, name, change, "label link");
  Message look = netlink::get_link_message(name);
  Message* const both[] = {&label, &look};
  sandbox.route().transact(both);
  auto link = netlink::link_of(look);
  if (!link) throw KernelError(ENODEV, look.what());
  return *std::move(link);
}

Piece piece(std::string_view plugin, std::vector<std::string> kinds) {
  return {.what = "the interface",
          .remove = [plugin, kinds](const Detaching& at) { remove(at, plugin, kinds); },
          .collect = [plugin, kinds](const Collecting& at) { collect(at, plugin, kinds); },
          .uses_addresses = true};
}

void probe(const std::string& kind, const std::function<void(Message& data)>& fill,
           bool has_lower) {
  const NetNs scratch = NetNs::create();
  auto socket = netlink::Socket::open_in(scratch, netlink::Socket::Protocol::kRoute);
  netlink::NewLink link{.name = "probe"};
  if (has_lower) {
    Message pair = netlink::new_veth({.name = "lower"}, {.name = "other"});
    socket.transact(pair);
    link.lower = netlink::get_link(socket, "lower").ifindex;
  }
  Message creation = netlink::new_link(link, kind, fill);
  socket.transact(creation);
}

}  // namespace cni::inner_link
