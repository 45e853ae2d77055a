// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// dhcp: has a daemon ask a DHCP server for the address of the container's interface.
//
// On the host:     the daemon's lease file, <daemonSocketPath>.d/<owner>
// In the sandbox:  what the daemon sends and receives there; a changed lease
// Options and examples: docs/plugins/dhcp.md
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"
#include "config.h"
#include "connection.h"
#include "daemon.h"
#include "lease_files.h"
#include "model/owner.h"
#include "plugins.h"

namespace cni::dhcp {
namespace {

// How often an ADD whose daemon died under it asks the next one.
constexpr int kTries = 3;
// Of the verb's time, for the daemon's answer to arrive: an error of its own says more.
constexpr std::chrono::milliseconds kForAnswer{500};

rpc::Call to_call(const Request& request) {
  std::string netns = request.netns;
  if (!netns.empty()) netns = std::filesystem::absolute(netns).string();
  const auto patience = std::max(Deadline::remaining() - kForAnswer, kForAnswer);
  return {.container_id = request.container_id,
          .netns = std::move(netns),
          .ifname = request.ifname,
          .args = request.args,
          .path = request.path,
          .netns_override = request.netns_override ? "1" : "",
          .config = request.input,
          .patience_ms = static_cast<std::uint64_t>(patience.count())};
}

Result allocate(const Request& request, const std::string& socket) {
  const rpc::Call call = to_call(request);
  for (int tries = 1;; ++tries) {
    Connection connection = Connection::open(socket);
    try {
      return connection.call(rpc::kAllocate, call);
    } catch (const Error& error) {
      // A daemon that is being replaced: whoever follows it knows nothing of this call.
      if (error.details() != "unexpected EOF" || tries == kTries) throw;
      log::warn(error.what());
    }
  }
}

Result add(const Request& request) {
  // Errors of the configuration are told here, with their code.
  static_cast<void>(Config::parse(request.conf, to_call(request)));
  return allocate(request, socket_path(request.conf));
}

/// Without a daemon the lease is marked: the next one releases it.
void release(const std::string& socket, const rpc::Call& call, std::string_view tag) {
  const LeaseFiles files(socket);
  // A daemon that hangs leaves time for the link to be removed.
  const auto patience = Deadline::remaining() / 3;
  const auto ask = [&] { Connection::open(socket, patience).call(rpc::kRelease, call); };
  try {
    ask();
    return;
  } catch (const Error& error) {
    log::warn(error.what());
  }
  if (!files.has(tag)) return;
  files.mark_for_release(tag);
  try {
    // One that started between the first try and the mark has not seen the mark.
    ask();
  } catch (const Error&) {
    log::warn(concat("the lease is left for the next DHCP daemon to release: ", tag));
  }
}

void del(const Request& request) {
  const std::string tag = request.owner().tag();
  std::string socket(kDefaultSocket);
  try {
    socket = socket_path(request.conf);
  } catch (const Error& error) {
    log::warn(error.what());
  }
  release(socket, to_call(request), tag);
}

void gc(const Request& request, const OwnerSet& valid) {
  const std::string prefix = Owner::network_tag(request.conf.name);
  const std::string socket = socket_path(request.conf);
  const LeaseFiles files(socket);
  ErrorList errors;
  for (const std::string& tag : files.list()) {
    if (!tag.starts_with(prefix) || valid.contains(tag)) continue;
    errors.attempt("release a lease", [&] {
      const auto record = files.find(tag);
      if (record) release(socket, record->call, tag);
    });
  }
  errors.throw_if_any();
}

void require_address(const Result& previous, const std::string& address) {
  const bool found = std::ranges::any_of(
      previous.ips, [&](const IpConfig& ip) { return ip.address.address.text() == address; });
  if (!found) {
    throw Error(ErrorCode::kMismatch,
                concat("the lease is for ", address, ", which prevResult does not have"));
  }
}

void check(const Request& request) {
  static_cast<void>(Config::parse(request.conf, to_call(request)));
  const auto previous = request.conf.prev_result();
  if (!previous) throw Error(ErrorCode::kInvalidConfig, "Required prevResult missing");
  const std::string socket = socket_path(request.conf);
  Connection::open(socket).greet();
  const LeaseFiles files(socket);
  if (!files.exists()) {
    // The reference's daemon keeps no files, and has no other question.
    for (const IpConfig& ip : allocate(request, socket).ips) {
      require_address(*previous, ip.address.address.text());
    }
    return;
  }
  const auto record = files.find(request.owner().tag());
  if (!record) throw Error(ErrorCode::kMismatch, "the DHCP daemon has no lease of this interface");
  require_address(*previous, record->lease.address.text());
}

void status(const Request& request) {
  static_cast<void>(Config::parse(request.conf, to_call(request)));
  const std::string socket = socket_path(request.conf);
  try {
    Connection::open(socket).greet();
  } catch (const Error& error) {
    throw Error(ErrorCode::kNotAvailable, error.msg(), error.details());
  }
}

}  // namespace

const Plugin plugin{.name = "dhcp",
                    .add = add,
                    .check = check,
                    .del = del,
                    .gc = gc,
                    .status = status,
                    .uses_link = true,
                    .daemon = run_daemon};

}  // namespace cni::dhcp
