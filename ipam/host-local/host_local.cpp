// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// host-local: hands out addresses of configured ranges and remembers them in files on this host.
//
// On the host:     <dataDir>/<network>/<address>, last_reserved_ip.<N>, lock: the reference's files
// Options and examples: docs/plugins/host-local.md

#include <fcntl.h>
#include <limits.h>

#include <algorithm>
#include <string>

#include "allocate.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "config.h"
#include "liveness.h"
#include "plugins.h"
#include "reclaim.h"
#include "store.h"

namespace cni::host_local {
namespace {

Dns load_resolv_conf(const std::string& path) {
  if (path.empty()) return {};
  try {
    const Fd fd = open_file(path, O_RDONLY | O_NONBLOCK);  // a FIFO must not hang us
    return parse_resolv_conf(read_all(fd.get(), quote(path)));
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidConfig, concat("ipam.resolvConf: ", error.msg()),
                error.details());
  }
}

void require_directory_name(const std::string& network) {
  if (network.size() <= NAME_MAX) return;
  throw Error(ErrorCode::kInvalidConfig,
              concat("name: must have at most ", NAME_MAX, " bytes, has ", network.size()),
              "the leases are in a directory of that name");
}

Result add(const Request& request) {
  const Config config = Config::parse(request.conf, request.args);
  require_directory_name(request.conf.name);
  Result result;
  result.dns = load_resolv_conf(config.resolv_conf);
  result.routes = config.routes;
  const NetNsIdentity netns = NetNsIdentity::of_path(request.netns);
  Store store = Store::open(config.data_dir, request.conf.name);
  result.ips = allocate(store, config, request.attachment(), netns);
  return result;
}

/// The attachment, or its container in the old format.
bool is_form_of(const Attachment& form, const Attachment& owner) {
  return form == owner || (form.ifname.empty() && form.container_id == owner.container_id);
}

/// A lease of the old format does not say which interface of its container has it: this one's, if
/// prevResult says so; nobody's any more, if the container has gone.
std::vector<Lease> find_old_leases(Store& store, const Request& request) {
  const auto previous = request.conf.prev_result_if_usable();
  const bool gone = NetNsIdentity::of_path(request.netns).inode == 0;
  std::vector<Lease> leases = store.find({request.container_id, {}});
  std::erase_if(leases, [&](const Lease& lease) {
    const auto is_this = [&](const IpConfig& ip) { return ip.address.address == lease.address; };
    return !gone && !(previous && std::ranges::any_of(previous->ips, is_this));
  });
  return leases;
}

/// Works with a configuration that ADD would refuse: leases are found by their owner.
void del(const Request& request) {
  auto store = Store::open_if_exists(Config::data_dir_of(request.conf), request.conf.name);
  if (!store) return;
  std::vector<Lease> leases = store->find(request.attachment());
  if (!leases.empty() && !leases.front().owner->ifname.empty()) {
    const std::vector<Lease> old = find_old_leases(*store, request);
    leases.insert(leases.end(), old.begin(), old.end());
  }
  ErrorList errors;
  for (const Lease& lease : leases) {
    errors.attempt(concat("release ", lease.address.text()), [&] { store->release(lease); });
  }
  errors.throw_if_any();
}

/// Every address of prevResult that our ranges contain must be leased to the attachment.
void check_addresses(const Config& config, const Store& store, const Result& previous,
                     const Attachment& owner) {
  for (const IpConfig& ip : previous.ips) {
    const IpAddress& address = ip.address.address;
    bool ours = false;
    for (std::size_t i = 0; i < config.sets.size(); ++i) {
      ours = ours || config.find_range(i, address) != nullptr;
    }
    if (!ours) continue;
    const auto holder = store.find(address);
    if (holder && holder->owner && is_form_of(*holder->owner, owner)) continue;
    throw Error(
        ErrorCode::kMismatch,
        concat("host-local: address ", address.text(), " of prevResult is not leased to it"),
        concat("lease file ", store.path_of(address), " belongs to ",
               holder ? describe_owner(*holder) : "nobody"));
  }
}

void check(const Request& request) {
  const Config config = Config::parse(request.conf, {});
  auto store = Store::open_if_exists(config.data_dir, request.conf.name);
  const std::vector<Lease> leases =
      store ? store->find(request.attachment()) : std::vector<Lease>{};
  if (leases.empty()) {
    throw Error(
        ErrorCode::kMismatch,
        concat("host-local: Failed to find address added by container ", request.container_id),
        concat("interface ", quote(request.ifname), ", directory ",
               quote(concat(config.data_dir, "/", request.conf.name))));
  }
  if (const auto previous = request.conf.prev_result()) {
    check_addresses(config, *store, *previous, request.attachment());
  }
}

void gc(const Request& request, const OwnerSet& valid) {
  // A lease made while we wait for the lock is newer than the list of what is valid.
  const Timestamp started = now();
  auto store = Store::open_if_exists(Config::data_dir_of(request.conf), request.conf.name);
  if (!store) return;
  // A lease of the old format knows no interface.
  const auto is_valid = [&](const Attachment& owner) {
    return owner.ifname.empty() ? valid.contains_container(owner.container_id)
                                : valid.contains(owner);
  };

  Liveness liveness = store->liveness();
  ErrorList errors;
  for (const Lease& lease : store->scan()) {
    // Some disks keep whole seconds only.
    const Timestamp latest = lease.made % kSecond == 0 ? lease.made + kSecond - 1 : lease.made;
    const bool newer = latest > started && lease.made <= now();  // not: the clock was set back
    if (!lease.regular || newer) continue;
    // What is no lease names nobody: it stays while it could be a living one's, damaged.
    if (lease.owner ? is_valid(*lease.owner) : liveness.judge(lease) != Life::kDead) continue;
    errors.attempt(concat("release ", lease.address.text()), [&] { store->release(lease); });
  }
  errors.throw_if_any();
}

void check_has_room(const Config& config, const RangeSet& set, Store& store) {
  if (has_room(store, set)) return;
  const std::vector<Brief> leases = store.survey();
  if (has_room(store, set)) return;
  Liveness liveness = store.liveness();
  const bool reclaimable =
      config.reclaim != Reclaim::kNever && std::ranges::any_of(leases, [&](const Brief& lease) {
        return set.find(lease.address) != nullptr && find_dead(store, liveness, lease);
      });
  if (reclaimable) return;
  throw Error(ErrorCode::kNotAvailable,
              concat("no IP addresses available in range set: ", set.text()),
              describe_full(set, leases, liveness, store));
}

void status(const Request& request) {
  try {
    const Config config = Config::parse(request.conf, {});
    require_directory_name(request.conf.name);
    Store::require_writable(config.data_dir, request.conf.name);
    auto store = Store::open_if_exists(config.data_dir, request.conf.name);
    if (!store) return;
    for (const RangeSet& set : config.sets) check_has_room(config, set, *store);
  } catch (const Error& error) {
    throw Error(ErrorCode::kNotAvailable, error.msg(), error.details());
  }
}

}  // namespace

const Plugin plugin{
    .name = "host-local", .add = add, .check = check, .del = del, .gc = gc, .status = status};

}  // namespace cni::host_local
