// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// tuning: changes sysctls and attributes of an interface that exists.
//
// On the host:     DATADIR/CONTAINERID_IFNAME.json with the values before
// In the sandbox:  sysctls below net; MAC, MTU, promisc, allmulti, txQLen of <CNI_IFNAME>
// Options and examples: docs/plugins/tuning.md
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "allow_list.h"
#include "backup.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "host/host.h"
#include "host/sysctl.h"
#include "model/owner.h"
#include "netlink/link.h"
#include "plugins.h"
#include "protocol/chained.h"
#include "settings.h"
#include "tuning_config.h"

namespace cni::tuning {
namespace {

using netlink::Link;

void require_allowed(const Config& conf) {
  if (conf.sysctls.empty()) return;
  const AllowList allowed = AllowList::load();
  for (const Sysctl& sysctl : conf.sysctls) allowed.require_allowed(sysctl.key);
}

BackupFile backup_file(std::string dir, const Request& request) {
  return {std::move(dir), request.owner(), request.container_id, request.ifname};
}

/// Before anything is changed, so that DEL can undo what a killed ADD did. Values that an earlier
/// ADD of the attachment saved are the original ones, and stay.
void save_backup(const Request& request, Sandbox& sandbox, const Config& conf,
                 const Settings& before, Rollback& rollback) {
  const log::Step timed("save what is there");
  const BackupFile file = backup_file(conf.data_dir, request);
  const auto earlier = file.load();
  const auto netns = NetNsIdentity::of(sandbox.netns());
  Backup backup;
  if (earlier && earlier->is_about(netns)) backup = *earlier;
  backup.settings.add_missing(before);
  backup.owner = request.owner().tag();
  backup.owner = request.owner().tag();
  backup.netns = netns;
  rollback.on_failure("restore the backup", [file, earlier] {
    if (earlier)
      file.save(*earlier);
    else
      file.remove();
  });
  file.save(backup);
}

void update_result(const Request& request, const Config& conf, Result& result) {
  for (Interface& interface : result.interfaces) {
    if (interface.name != request.ifname || interface.sandbox.empty()) continue;
    if (conf.mac) interface.mac = conf.mac->text();
    if (conf.mtu) interface.mtu = *conf.mtu;
  }
}

Result add(const Request& request) {
  const Config conf = Config::parse(request);
  require_allowed(conf);
  Result result = required_prev_result(request, "tuning");
  if (conf.empty()) return result;

  const Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  std::optional<Link> link;
  if (conf.changes_link()) link = netlink::get_link(sandbox.route(), request.ifname);
  const Settings before = current_settings(sandbox, conf, link ? &*link : nullptr);

  Rollback rollback;
  save_backup(request, sandbox, conf, before, rollback);
  rollback.on_failure("restore sysctls", [&] { restore_sysctls(sandbox, before); });
  write_sysctls(sandbox, conf);
  if (link) {
    rollback.on_failure("restore the link", [&] { restore_link(sandbox, before, *link); });
    change_link(sandbox, conf, *link);
  }
  update_result(request, conf, result);
  rollback.commit();
  return result;
}

void restore(Sandbox& sandbox, const Settings& settings, const std::string& ifname) {
  ErrorList errors;
  // The link first: with too small an MTU it has no IPv6 sysctls.
  errors.attempt("restore the link", [&] {
    if (!settings.has_link()) return;
    const auto link = netlink::find_link(sandbox.route(), ifname);
    if (link) restore_link(sandbox, settings, *link);
  });
  errors.attempt("restore sysctls", [&] { restore_sysctls(sandbox, settings); });
  // They are logged. A runtime could only repeat the call, with the same outcome, and would never
  // get rid of the container.
}

void del(const Request& request) {
  const BackupFile file = backup_file(Config::data_dir_leniently(request), request);
  if (const auto backup = file.load()) {
    const Host host;
    auto sandbox = Sandbox::open_if_exists(request.netns, host, request.netns_override);
    if (sandbox && backup->is_about(NetNsIdentity::of(sandbox->netns()))) {
      restore(*sandbox, backup->settings, request.ifname);
    }
  }
  file.remove();
}

void check(const Request& request) {
  const Config conf = Config::parse(request);
  static_cast<void>(required_prev_result(request, "tuning"));
  if (conf.empty()) return;
  const Host host;
  Sandbox sandbox = Sandbox::open(request.netns, host, request.netns_override);
  check_settings(sandbox, conf, request.ifname);
}

void gc(const Request& request, const OwnerSet& valid) {
  collect_backups(Config::data_dir_leniently(request), request.conf.name, valid);
}

/// The directory, or the nearest one above it that exists, can be written to.
void require_writable(std::string dir) {
  struct stat info {};
  while (::stat(dir.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR) &&
         dir.size() > 1) {
    dir.resize(std::max<std::size_t>(dir.rfind('/'), 1));
  }
  if (::access(dir.c_str(), W_OK | X_OK) != 0) throw_errno(concat("dataDir: ", quote(dir)));
  if (!S_ISDIR(info.st_mode)) throw KernelError(ENOTDIR, concat("dataDir: ", quote(dir)));
}

/// In a namespace of its own, where the entries must be that do not belong to a named link.
void require_entries(const Config& conf) {
  constexpr int kRankOfLinks = 3;
  NetNs::create().run([&] {
    for (const Sysctl& sysctl : conf.sysctls) {
      const std::string entry = sysctl::entry_of(sysctl.key, "lo");
      const bool of_named_link =
          rank_of(entry) == kRankOfLinks && sysctl.key.find("IFNAME") == std::string::npos;
      if (of_named_link || sysctl::is_writable(entry)) continue;
      throw Error(ErrorCode::kNotAvailable,
                  concat("sysctl ", quote(sysctl.key), " cannot be set in a container"));
    }
  });
}

void status(const Request& request) {
  const Config conf = Config::parse(request);
  if (conf.empty()) return;
  try {
    if (!conf.sysctls.empty()) AllowList::load().require_readable();
    require_allowed(conf);
  } catch (const Error& error) {
    // The list is the host's: nothing is wrong with the call.
    throw Error(ErrorCode::kNotAvailable, error.msg(), error.details());
  }
  Host host;
  require_permissions(host);
  require_writable(conf.data_dir);
  if (!conf.sysctls.empty()) require_entries(conf);
}

}  // namespace

const Plugin plugin{
    .name = "tuning", .add = add, .check = check, .del = del, .gc = gc, .status = status};

}  // namespace cni::tuning
