// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/veth.h"

#include <cerrno>
#include <memory>
#include <vector>

#include "attach/configure_interface.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "host/sysctl.h"
#include "netlink/kinds.h"

namespace cni {
namespace {

using netlink::Link;
using netlink::Message;

constexpr std::size_t kNameDigits = 11;  // IFNAMSIZ leaves 15 bytes

[[noreturn]] void differs(const std::string& what) { throw Error(ErrorCode::kMismatch, what); }

std::string_view tag_of(const Link& link) { return Owner::tag_of(link.alias); }

/// A link without label is one whose ADD was killed before the label was written: only our names
/// look like this.
bool belongs_to(const Link& link, const Owner& owner) {
  return link.kind == "veth" && (link.alias.empty() || tag_of(link) == owner.tag());
}

/// The host end of a container's link, when it is a veth whose other end is on the host.
std::optional<Link> host_end_of(Host& host, const Link& container) {
  auto end = netlink::find_link(host.route(), container.peer);
  // Indices of different namespaces coincide: only if the relation holds both ways.
  if (!end || end->kind != "veth" || end->peer != container.ifindex) return std::nullopt;
  return end;
}

/// Of another attachment, by the label on its host end: the container's name was taken when our ADD
/// came, and the DEL that follows a failed ADD must not take it.
bool belongs_to_another(Host& host, const Link& container, const Owner& owner) {
  const auto end = host_end_of(host, container);
  return end && Owner::is_tag(tag_of(*end)) && tag_of(*end) != owner.tag();
}

/// Why the kernel said EEXIST; removes a leftover of our own. Returns to try again.
void resolve_conflict(Host& host, Sandbox& sandbox, const std::string& ifname, const Owner& owner) {
  require_not_attached(host, sandbox, ifname, owner);
  const std::string name = host_veth_name(owner);
  const auto existing = netlink::find_link(host.route(), name);
  if (!existing) return;
  if (!belongs_to(*existing, owner)) {
    throw Error(ErrorCode::kConflict, concat("the host has a link ", quote(name), " already"),
                concat("its alias is ", quote(existing->alias)));
  }
  log::warn(concat("replacing ", quote(name), ", left by an interrupted ADD"));
  netlink::delete_link_if_exists(host.route(), existing->ifindex, name);
}

/// Deletes what new_veth made, also when its answer never arrived.
void undo_creation(Host& host, const Owner& owner, bool created) {
  const auto link = netlink::find_link(host.route(), host_veth_name(owner));
  if (!link || !belongs_to(*link, owner)) return;
  // A labelled link that we did not create is a living attachment.
  if (!created && !link->alias.empty()) return;
  netlink::delete_link_if_exists(host.route(), link->ifindex, link->name);
}

/// Both ends as they are then, without a look into the container where the host end tells the rest.
VethPair set_up_host_end(Host& host, Sandbox& sandbox, const netlink::NewLink& wanted,
                         const netlink::NewLink& peer, const Owner& owner,
                         const VethOptions& options) {
  // No packet can arrive before the container's end is up.
  sysctl::write(sysctl::link_entry("ipv6", wanted.name, "accept_ra"), "0");
  // While its link-local address is being checked the host could not look for the container.
  if (options.routed) sysctl::write(sysctl::link_entry("ipv6", wanted.name, "accept_dad"), "0");
  netlink::LinkChange change = options.port;
  change.up = true;
  change.alias = owner.label({}, netlink::kMaxAlias);
  Message setup = netlink::change_link(0, wanted.name, change);
  Message look = netlink::get_link_message(wanted.name);
  // Looked at before it is up: of a link that is up and has no carrier yet the kernel first settles
  // the state, for which it waits for an RCU grace period.
  std::vector<Message*> on_host{&look, &setup};
  // What comes in at a bridge port is the bridge's: an address of its own would only cost the
  // kernel's work, and everybody a route.
  Message bare = netlink::no_link_local_address(wanted.name);
  if (options.master != 0) on_host.insert(on_host.begin(), &bare);
  host.route().transact(on_host);
  const auto host_end = netlink::link_of(look);
  if (!host_end) throw KernelError(ENODEV, look.what());
  if (host_end->peer == 0)
    return VethPair{*host_end, netlink::get_link(sandbox.route(), peer.name)};
  // What was asked for, and the index that the host end tells: no look-up in the container.
  Link container;
  container.ifindex = host_end->peer;
  container.name = peer.name;
  container.kind = host_end->kind;
  container.mac = *peer.mac;
  container.mtu = host_end->mtu;
  container.peer = host_end->ifindex;
  return VethPair{*host_end, std::move(container)};
}

}  // namespace

std::string host_veth_name(const Owner& owner) {
  return "veth" + sha512_hex(owner.tag(), kNameDigits);
}

void require_not_attached(Host& host, Sandbox& sandbox, const std::string& ifname,
                          const Owner& owner) {
  if (netlink::find_link(sandbox.route(), ifname)) {
    throw Error(ErrorCode::kConflict,
                concat("the container has an interface ", quote(ifname), " already"),
                "DEL must come before another ADD");
  }
  const auto link = netlink::find_link(host.route(), host_veth_name(owner));
  // One that is not connected was left by an interrupted ADD, and will be replaced.
  if (link && belongs_to(*link, owner) && link->is_operational()) {
    throw Error(
        ErrorCode::kConflict,
        concat("the container is attached already, in another netns, by ", quote(link->name)),
        "DEL must come before another ADD");
  }
}

std::optional<VethPair> create_veth(Host& host, Sandbox& sandbox, const std::string& ifname,
                                    const Owner& owner, const VethOptions& options,
                                    Rollback& rollback) {
  const log::Step timed("create the veth pair");
  const std::string name = host_veth_name(owner);
  // Both addresses are ours from the start: the kernel marks them as set, and udev leaves them
  // alone.
  const netlink::NewLink wanted{
      .name = name, .mac = Mac::random_of_port(), .mtu = options.mtu, .master = options.master};
  const netlink::NewLink peer{.name = ifname,
                              .mac = options.container_mac.value_or(Mac::random()),
                              .mtu = options.mtu,
                              .netns = sandbox.netns().fd()};
  const auto created = std::make_shared<bool>(false);
  rollback.on_failure("delete the veth pair",
                      [&host, owner, created] { undo_creation(host, owner, *created); });
  Message creation = netlink::new_veth(wanted, peer);
  creation.tolerate(EEXIST).tolerate(EINVAL);
  host.route().transact(creation);
  if (creation.error() == EEXIST) {
    resolve_conflict(host, sandbox, ifname, owner);
    creation = netlink::new_veth(wanted, peer);
    creation.tolerate(EINVAL);
    host.route().transact(creation);
  }
  if (creation.error() == EINVAL) {
    // The kernel's answer for a master that has gone in the meantime, among other things.
    const bool gone = options.master != 0 && !netlink::find_link(host.route(), options.master);
    if (gone) return std::nullopt;
    throw KernelError(EINVAL, creation.what(), creation.extack());
  }
  *created = true;

  return set_up_host_end(host, sandbox, wanted, peer, owner, options);
}

std::optional<Link> find_host_veth(Host& host, const Owner& owner, bool thorough) {
  auto link = netlink::find_link(host.route(), host_veth_name(owner));
  if (link && belongs_to(*link, owner)) return link;
  if (!thorough) return std::nullopt;
  for (Link& candidate : netlink::list_links(host.route(), 0, "veth")) {
    if (tag_of(candidate) == owner.tag()) return std::move(candidate);
  }
  return std::nullopt;
}

Link get_host_veth(Host& host, const Owner& owner) {
  auto link = find_host_veth(host, owner, false);
  if (link) return *std::move(link);
  throw Error(ErrorCode::kUnknownContainer,
              concat("host veth ", quote(host_veth_name(owner)), " is gone"));
}

Link check_container_veth(Sandbox& sandbox, const Request& request, const Result& previous) {
  const Interface* const reported = previous.find_interface(request.ifname, request.netns);
  if (reported == nullptr) {
    differs(concat("prevResult.interfaces: no entry for ", quote(request.ifname), " in sandbox ",
                   quote(request.netns)));
  }
  auto link = netlink::find_link(sandbox.route(), request.ifname);
  if (!link) differs(concat("interface ", quote(request.ifname), " is missing in the container"));
  if (link->kind != "veth") differs(concat("interface ", quote(request.ifname), " is no veth"));
  check_reported(*link, *reported);
  return *std::move(link);
}

Link check_host_veth(Host& host, const Result& previous, const Link& container) {
  for (const Interface& reported : previous.interfaces) {
    if (!reported.sandbox.empty()) continue;
    auto link = netlink::find_link(host.route(), reported.name);
    if (!link || link->kind != "veth" || link->ifindex != container.peer) continue;
    check_reported(*link, reported);
    if (!link->is_up()) differs(concat("link ", quote(link->name), " is down"));
    return *std::move(link);
  }
  differs(concat("no host veth of prevResult.interfaces is the peer of ", quote(container.name),
                 " in the container"));
}

void delete_veth(Host& host, std::optional<Sandbox>& sandbox, const std::string& ifname,
                 const Owner& owner) {
  if (const auto link = find_host_veth(host, owner, false)) {
    netlink::delete_link_if_exists(host.route(), link->ifindex, link->name);
    return;
  }
  if (sandbox) {
    // Made by another implementation, whose host end we cannot know.
    const auto link = netlink::find_link(sandbox->route(), ifname);
    if (link && link->kind == "veth" && !belongs_to_another(host, *link, owner)) {
      netlink::delete_link_if_exists(sandbox->route(), link->ifindex, link->name);
      return;
    }
  }
  if (const auto link = find_host_veth(host, owner, true)) {
    netlink::delete_link_if_exists(host.route(), link->ifindex, link->name);
  }
}

void collect_veths(Host& host, std::string_view network,
                   const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  ErrorList errors;
  for (const Link& link : netlink::list_links(host.route(), 0, "veth")) {
    if (!link.alias.starts_with(prefix) || keep(tag_of(link))) continue;
    errors.attempt(concat("delete link ", quote(link.name)),
                   [&] { netlink::delete_link_if_exists(host.route(), link.ifindex, link.name); });
  }
  errors.throw_if_any();
}

}  // namespace cni
